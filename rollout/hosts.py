"""Where environments live while episodes play: in worker processes, or in threads of this one.

An episode leases a `HostedEnv`. Its `reset`, `step` and `truncate` run off the event loop, each under a deadline.
"""

import asyncio
import itertools
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from envs import EnvSpec, Message, Observation
from rollout.seats import Outcome
from rollout.stage import WATCH_S, Operation, Request, Stage

_log = logging.getLogger("toolgym.rollout")


class EnvError(RuntimeError):
    """The environment, its sandbox, its rubric or its worker failed. The text is `Type: message` of what was raised."""


class StepOverdue(Exception):  # noqa: N818  # a limit, not an error
    """An operation was stopped at its deadline; `truncate` may still score the episode."""


class EnvHungError(EnvError):
    """An operation went on computing past its deadline, whatever it was told: playing it again would hang again."""


@dataclass(frozen=True, slots=True)
class Step:
    """What `ToolEnv.step` returned."""

    observation: Observation
    reward: float
    terminated: bool
    truncated: bool
    info: Mapping[str, Any] = field(default_factory=dict)


class Operator(Protocol):
    """Carries out operations of the episodes it hosts. Bound to the event loop that uses it; not thread-safe."""

    async def request(self, key: int, operation: Operation, arguments: tuple[Any, ...], timeout_s: float) -> Any:
        """Carry out an operation of episode `key`.

        Raises:
            EnvError: it raised, or its process died.
            EnvHungError: it could only be stopped by ending its process, or not at all.
            StepOverdue: it was stopped at its deadline.
        """
        ...

    def release(self, key: int) -> None:
        """Give up an episode and whatever it runs, at once."""
        ...


class Host(Protocol):
    """A place for environments."""

    @property
    def load(self) -> int:
        """Episodes hosted now."""
        ...

    def open(self) -> "HostedEnv":
        """Lease an environment for one episode; `HostedEnv.release` gives it back."""
        ...

    async def close(self) -> None:
        """Close every environment and end every process. Closing twice is allowed."""
        ...


class HostedEnv:
    """An environment somewhere else, leased for one episode."""

    def __init__(self, operator: Operator, key: int) -> None:
        self._operator = operator
        self._key = key

    async def reset(self, task: Mapping[str, Any], seed: int, timeout_s: float) -> Observation:
        """Begin an episode of the task given as JSON data; raises as `Operator.request` does."""
        observation: Observation = await self._operator.request(self._key, "reset", (task, seed), timeout_s)
        return observation

    async def step(self, action: Message, timeout_s: float) -> Step:
        """Carry out one assistant message; raises as `Operator.request` does."""
        return Step(*await self._operator.request(self._key, "step", (action,), timeout_s))

    async def truncate(self, timeout_s: float) -> tuple[float, Mapping[str, Any]]:
        """End the episode by a limit; returns reward and info. Raises as `Operator.request` does."""
        reward, info = await self._operator.request(self._key, "truncate", (), timeout_s)
        return reward, info

    def release(self) -> None:
        """Give the environment back, over or not."""
        self._operator.release(self._key)


class LocalHost:
    """Hosts environments in threads of this process: for debugging, where no tool computes for long.

    A tool that holds the interpreter delays every episode, and nothing can end one that ignores its deadline.
    """

    def __init__(self, spec: EnvSpec) -> None:
        self._stage = Stage(spec)
        self._keys = itertools.count(1)
        self._numbers = itertools.count(1)
        self._open: set[int] = set()
        self._loop: asyncio.AbstractEventLoop | None = None  # the one that watches, if anything runs

    @property
    def load(self) -> int:
        """Episodes hosted now."""
        return len(self._open)

    def open(self) -> HostedEnv:
        """Lease an environment for one episode."""
        key = next(self._keys)
        self._open.add(key)
        return HostedEnv(self, key)

    async def request(self, key: int, operation: Operation, arguments: tuple[Any, ...], timeout_s: float) -> Any:
        """Carry out an operation on its seat; see `Operator.request`."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Outcome] = loop.create_future()

        def deliver(outcome: Outcome) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, answer, outcome)

        self._stage.submit(Request(next(self._numbers), key, operation, arguments, timeout_s), deliver)
        self._watch_on(loop)
        return value_of(await answer, operation, timeout_s)

    def release(self, key: int) -> None:
        """Give up an episode."""
        self._open.discard(key)
        self._stage.release(key)

    async def close(self) -> None:
        """Close every environment."""
        await asyncio.to_thread(self._stage.close)

    def _watch_on(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not loop:
            self._loop = loop
            loop.call_later(WATCH_S, self._watch, loop)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._stage.watch()
        if self._stage.busy:
            loop.call_later(WATCH_S, self._watch, loop)
        else:
            self._loop = None


def settle(answer: asyncio.Future[Outcome], outcome: Outcome) -> None:
    """Set the outcome of a request, unless its episode gave up waiting."""
    if not answer.done():
        answer.set_result(outcome)


def value_of(outcome: Outcome, operation: Operation, timeout_s: float) -> Any:
    """Return what an operation returned, or raise what `Operator.request` says."""
    if outcome.kind == "done":
        return outcome.value
    if outcome.kind == "overdue":
        raise StepOverdue(f"{operation} took longer than {timeout_s:g} s")
    if outcome.kind == "hung":
        raise EnvHungError(
            f"TimeoutError: {operation} went on computing after {timeout_s:g} s, and did not stop when told to"
        )
    text, trace = outcome.value
    _log.info("%s failed: %s\n%s", operation, text, trace)
    raise EnvError(text)
