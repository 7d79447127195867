"""The record of an episode: turns, tokens, reward, and why it stopped. Frozen; nothing live sits in it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from envs import Message, Observation


class StopReason(StrEnum):
    """Why an episode stopped."""

    ANSWERED = "answered"
    """The policy gave an answer without a tool call."""
    ENDED = "ended"
    """A tool ended the episode."""
    MAX_TURNS = "max_turns"
    """The environment's limit of assistant messages."""
    MAX_TOKENS = "max_tokens"
    """The episode's tokens, prompt included, reached their limit, or one message was cut at its own."""
    EPISODE_TIMEOUT = "episode_timeout"
    """The episode's wall-clock seconds."""
    STEP_TIMEOUT = "step_timeout"
    """The wall-clock seconds of one environment step."""
    FAILED = "failed"
    """Something of ours failed: the episode is unscored."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One assistant message and what it caused."""

    action: Message
    observation: Observation
    prompt_ids: tuple[int, ...] = ()
    """All ids the model was given for this turn; they extend the turn before, unless the template rewrote it."""
    completion_ids: tuple[int, ...] = ()
    """The ids sampled; never empty where the agent has token ids."""
    logprobs: tuple[float, ...] = ()
    """Natural log-probability of each sampled id, as sampled."""
    reward: float = 0.0
    tool_calls: int = 0
    tool_errors: tuple[str, ...] = ()
    """The kind of each call that failed (`envs.tools.ToolErrorKind`)."""
    agent_s: float = 0.0
    """Wall-clock seconds from the prompt to the message."""
    env_s: float = 0.0
    """Wall-clock seconds of the environment's step, waiting for its worker included."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """What was played, and what it was worth."""

    env: str
    """Full id of the environment."""
    task_id: str
    task: Mapping[str, Any]
    """The task as JSON data."""
    sample: int
    """Index among the episodes of this task."""
    seed: int
    """The seed that the episode's turns derive theirs from."""
    opening: Observation
    """What `reset` gave: system prompt and task."""
    turns: tuple[Turn, ...]
    stop: StopReason
    reward: float | None
    """None if unscored."""
    scores: Mapping[str, float] = field(default_factory=dict)
    success: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    """What of ours failed, as `Type: message`, if the episode is unscored."""
    attempts: int = 1
    """How often it was begun: 1 unless a failure of ours was retried."""
    seconds: float = 0.0
    """Wall-clock seconds of the last attempt."""

    @property
    def scored(self) -> bool:
        """Whether there is a reward."""
        return self.reward is not None

    @property
    def messages(self) -> tuple[Message, ...]:
        """The whole conversation."""
        rest = (message for turn in self.turns for message in (turn.action, *turn.observation))
        return (*self.opening, *rest)


def derive_seed(*parts: int | str) -> int:
    """Return a seed in [0, 2**63) that depends on every part and on nothing else (BLAKE2b of their text)."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
