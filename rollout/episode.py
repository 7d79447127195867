"""One attempt at an episode: act, step, append, act."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agents import Agent, AgentError, Generation, Prompt
from envs import Message, Observation
from rollout.hosts import EnvError, EnvHungError, HostedEnv, Step, StepOverdue
from rollout.limits import Limits
from rollout.trajectory import StopReason, Turn, derive_seed

_names = itertools.count(1)


class PromptTooLongError(ValueError):
    """A task's prompt leaves no room for an answer: no fault of the policy, and playing again would not help."""


@dataclass(frozen=True, slots=True)
class Part:
    """What an episode is played from."""

    task_id: str
    task: Mapping[str, Any]
    """JSON data."""
    seed: int
    """The seed that the turns derive theirs from."""
    tools: Sequence[dict[str, Any]]
    limits: Limits


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended."""

    stop: StopReason
    reward: float | None
    info: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None


class _LimitReached(Exception):  # noqa: N818  # a limit, not an error
    def __init__(self, stop: StopReason) -> None:
        super().__init__(stop)
        self.stop = stop


class Attempt:
    """Plays one episode once. What it has played so far can be read at any time, also when it failed."""

    def __init__(self, part: Part, agent: Agent, env: HostedEnv) -> None:
        self._part, self._agent, self._env = part, agent, env
        self._name = f"episode {next(_names)}"
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._deadline = self._began + part.limits.episode_s
        self._messages: list[Message] = []
        self._new: Observation = ()
        self._prefix: tuple[int, ...] = ()
        self.opening: Observation = ()
        self.turns: list[Turn] = []

    @property
    def seconds(self) -> float:
        """Wall-clock seconds since it began."""
        return self._loop.time() - self._began

    async def play(self) -> Ending:
        """Play until something stops the episode, then give everything back.

        Raises whatever of ours fails: what the agent raises, `EnvError`, `PromptTooLongError`.
        """
        try:
            return await self._play()
        finally:
            self._agent.forget(self._name)
            self._env.release()

    async def _play(self) -> Ending:
        await self._open()
        try:
            while True:
                step = await self._step(await self._act())
                if step.terminated or step.truncated:
                    return Ending(self._reason(step), step.reward, step.info)
        except _LimitReached as limit:
            return await self._truncate(limit.stop)

    async def _open(self) -> None:
        try:
            self.opening = await self._env.reset(self._part.task, self._part.seed, self._step_s())
        except StepOverdue as overdue:
            raise EnvError(f"TimeoutError: {overdue}") from overdue
        self._append(self.opening)

    async def _act(self) -> Generation:
        """Get the next message and append it as a turn without an observation."""
        limits = self._part.limits
        room = limits.max_tokens - len(self._prefix)
        if room <= 0:
            raise _LimitReached(StopReason.MAX_TOKENS)
        prompt = Prompt(
            messages=tuple(self._messages),
            tools=self._part.tools,
            prefix_ids=self._prefix,
            new=self._new,
            max_new_tokens=min(limits.max_new_tokens, room),
            seed=derive_seed(self._part.seed, len(self.turns)),
            episode=self._name,
            task_id=self._part.task_id,
        )
        began = self._loop.time()
        generation = await self._answer(prompt)
        return self._admit(generation, self._loop.time() - began)

    async def _answer(self, prompt: Prompt) -> Generation:
        try:
            async with asyncio.timeout_at(self._deadline) as limit:
                return await self._agent.act(prompt)
        except TimeoutError:
            if limit.expired():
                raise _LimitReached(StopReason.EPISODE_TIMEOUT) from None
            raise

    def _admit(self, generation: Generation, agent_s: float) -> Generation:
        """Append a generation as a turn, cut to what is left of the episode's tokens."""
        ids, logprobs = generation.completion_ids, generation.logprobs
        if len(ids) != len(logprobs):
            raise AgentError(f"the agent gave {len(logprobs)} logprobs for {len(ids)} sampled ids")
        room = self._part.limits.max_tokens - len(generation.prompt_ids)
        is_cut = generation.finish_reason == "length" or len(ids) > room
        if is_cut and generation.prompt_ids and not ids[: max(room, 0)]:
            raise self._no_room(len(generation.prompt_ids))
        self.turns.append(
            Turn(
                action=generation.message,
                observation=(),
                prompt_ids=generation.prompt_ids,
                completion_ids=ids[:room] if is_cut else ids,
                logprobs=logprobs[:room] if is_cut else logprobs,
                agent_s=agent_s,
            )
        )
        if is_cut:
            raise _LimitReached(StopReason.MAX_TOKENS)
        self._prefix = generation.prompt_ids + ids
        return generation

    def _no_room(self, prompt_tokens: int) -> Exception:
        if self.turns:
            return _LimitReached(StopReason.MAX_TOKENS)
        return PromptTooLongError(
            f"task {self._part.task_id!r}: its prompt has {prompt_tokens} tokens, which leaves no room for an answer "
            f"(limits.max_tokens={self._part.limits.max_tokens}, or the model's context)"
        )

    async def _step(self, generation: Generation) -> Step:
        """Carry out the last turn's message and complete the turn."""
        began = self._loop.time()
        calls = len(generation.message.tool_calls)
        late = StopReason.STEP_TIMEOUT if self._left_s() > self._part.limits.step_s else StopReason.EPISODE_TIMEOUT
        try:
            step = await self._env.step(generation.message, self._step_s())
        except (StepOverdue, EnvHungError) as error:
            self.turns[-1] = replace(self.turns[-1], tool_calls=calls, env_s=self._loop.time() - began)
            if isinstance(error, EnvHungError):
                raise
            raise _LimitReached(late) from error
        self.turns[-1] = replace(
            self.turns[-1],
            observation=step.observation,
            reward=step.reward,
            tool_calls=step.info.get("tool_calls", calls),
            tool_errors=tuple(step.info.get("tool_errors", ())),
            env_s=self._loop.time() - began,
        )
        self._messages.append(generation.message)
        self._append(step.observation)
        return step

    async def _truncate(self, stop: StopReason) -> Ending:
        try:
            reward, info = await self._env.truncate(self._part.limits.step_s)
        except StepOverdue as overdue:
            raise EnvError(f"TimeoutError: {overdue}") from overdue
        return Ending(stop, reward, info)

    def _append(self, messages: Observation) -> None:
        self._messages.extend(messages)
        self._new = messages

    def _step_s(self) -> float:
        return min(self._part.limits.step_s, self._left_s())

    def _left_s(self) -> float:
        return max(0.0, self._deadline - self._loop.time())

    def _reason(self, step: Step) -> StopReason:
        if step.truncated:
            return StopReason.MAX_TURNS
        return StopReason.ENDED if self.turns[-1].action.tool_calls else StopReason.ANSWERED
