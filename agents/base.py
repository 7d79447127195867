"""The agent protocol: whatever answers a `Prompt` with a `Generation`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from envs import Message

FinishReason = Literal["stop", "length"]
"""`stop`: the policy ended its turn; `length`: `max_new_tokens` or the model's context ended it."""


class AgentError(RuntimeError):
    """The agent failed (engine, server, network), not the policy: the episode is unscored and may be retried."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What an agent is asked: the conversation so far, and the exact token ids that are committed of it."""

    messages: tuple[Message, ...]
    """The whole conversation, oldest first; the last is never the assistant's."""
    tools: Sequence[dict[str, Any]]
    """Tool schemas in the OpenAI function format."""
    prefix_ids: tuple[int, ...]
    """Token ids committed so far: the last turn's prompt and completion. Empty on the first turn."""
    new: tuple[Message, ...]
    """The messages that `prefix_ids` does not hold yet. On the first turn: all of them."""
    max_new_tokens: int
    """At least 1."""
    seed: int
    """In [0, 2**63). The same prompt and seed give the same generation, whatever else runs beside it."""
    episode: str = ""
    """Unique among the episodes in flight; an agent may keep a cache under it until `forget`."""
    task_id: str = ""
    """The task being played: scripted and reference agents look their lines up by it; a policy ignores it."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One assistant message, and the exact tokens it came from (all empty for agents without token ids)."""

    message: Message
    prompt_ids: tuple[int, ...] = ()
    """What the model was given: `prefix_ids` extended by the rendering of `new`."""
    completion_ids: tuple[int, ...] = ()
    """What was sampled, end-of-turn token included where one was sampled."""
    logprobs: tuple[float, ...] = ()
    """Natural log-probability of each sampled id under the distribution it was sampled from."""
    finish_reason: FinishReason = "stop"


@runtime_checkable
class Agent(Protocol):
    """Answers one conversation at a time; many calls may be in flight, and batching is the agent's own business."""

    async def act(self, prompt: Prompt) -> Generation:
        """Answer with one assistant message.

        Cancelling the call gives up the request and frees what it held. Raises `AgentError` when the agent fails.
        """
        ...

    def forget(self, episode: str) -> None:
        """Drop whatever is cached for an episode that has ended; unknown names are fine."""
        ...

    async def close(self) -> None:
        """Give everything back. Closing twice is allowed."""
        ...
