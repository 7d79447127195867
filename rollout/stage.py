"""The environments that one process hosts, by episode: each on a seat of its own, so that it never changes threads.

A seat and its environment are used again for the next episode when the last one came to a regular end.
"""

import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple

from pydantic_core import to_jsonable_python

from envs import EnvSpec, Message, ToolEnv
from rollout.seats import Job, Outcome, Seat

WATCH_S = 0.05
"""How often `Stage.watch` should be called while the stage is busy."""
_CLOSE_S = 10.0

Operation = Literal["reset", "step", "truncate"]
Deliver = Callable[[Outcome], None]


class Request(NamedTuple):
    """One operation of one episode."""

    number: int
    """Unique within the stage, at least 1."""
    key: int
    """The episode."""
    operation: Operation
    arguments: tuple[Any, ...]
    """Of `reset`: the task as JSON data and the seed; of `step`: the action."""
    timeout_s: float


def job_name(number: int) -> str:
    """Return the name that the operating system shows for the thread of a request."""
    return f"job {number}"


class Stage:
    """Hosts environments. Its methods belong to one thread; outcomes are delivered from any."""

    def __init__(self, spec: EnvSpec) -> None:
        # The class is looked up once: that reads every installed package's entry points, which takes milliseconds.
        self._make = partial(spec.env_class(), sandbox=spec.sandbox, **spec.config)
        self._places: dict[int, _Place] = {}
        self._running: dict[_Place, Job] = {}  # seats remove their job from their own thread: one atomic `pop`
        self._leaving: set[_Place] = set()
        self._spare: list[_Place] = []
        self._next_deadline = math.inf  # no running job's is earlier
        self.abandoned = 0
        """Threads that were left waiting in the operating system, and may be waiting still."""

    @property
    def running(self) -> int:
        """Operations under way."""
        return len(self._running)

    @property
    def busy(self) -> bool:
        """Whether there is anything that `watch` must look after."""
        return bool(self._running or self._leaving)

    def submit(self, request: Request, deliver: Deliver) -> None:
        """Begin an operation of an episode, which must not be running another."""
        place = self._places.get(request.key)
        if place is None:
            place = self._places[request.key] = self._spare.pop() if self._spare else _Place(self._make)
        work = partial(getattr(place, request.operation), *request.arguments)
        self._run(place, Job(work, request.timeout_s, self._ending(place, deliver), name=job_name(request.number)))

    def release(self, key: int) -> None:
        """Give up episode `key`, interrupting what it runs; its place is free for another at once."""
        place = self._places.pop(key, None)
        if place is None:
            return
        running = self._running.get(place)
        if running is None and place.regular and place.is_over:
            self._spare.append(place)
            return
        self._leaving.add(place)
        if running is not None:
            running.deadline = self._next_deadline = min(running.deadline, time.monotonic())

    def watch(self) -> None:
        """Interrupt what is overdue, and clear away what was released."""
        now = time.monotonic()
        if now >= self._next_deadline:  # a thousand jobs that wait are not looked at twenty times a second
            running = list(self._running.items())
            self._next_deadline = min((job.deadline for _, job in running), default=math.inf)
            for place, job in running:
                if place.seat.watch(job, now):
                    self.abandoned += 1
                    place.seat = Seat()
        for place in self._leaving - self._running.keys():
            self._clear(place)

    def close(self) -> None:
        """Release every episode and close every environment; what has not ended after 10 s is left behind."""
        for key in list(self._places):
            self.release(key)
        self._leaving.update(self._spare)
        self._spare.clear()
        give_up = time.monotonic() + _CLOSE_S
        while self._leaving and time.monotonic() < give_up:
            self.watch()
            time.sleep(0.002)

    def _run(self, place: "_Place", job: Job) -> None:
        self._running[place] = job
        self._next_deadline = min(self._next_deadline, job.deadline)
        place.seat.run(job)

    def _ending(self, place: "_Place", deliver: Deliver) -> Deliver:
        def ended(outcome: Outcome) -> None:
            place.regular = place.regular and outcome.kind == "done"
            self._running.pop(place, None)
            deliver(outcome)

        return ended

    def _clear(self, place: "_Place") -> None:
        env, place.env = place.env, None
        if env is not None:
            self._run(place, Job(env.close, _CLOSE_S, self._ending(place, _ignore)))
            return
        self._leaving.discard(place)
        place.seat.stop()


class _Place:
    """One environment and the seat it lives on."""

    def __init__(self, make: Callable[[], ToolEnv[Any, Any]]) -> None:
        self._make = make
        self.env: ToolEnv[Any, Any] | None = None
        self.seat = Seat()
        self.regular = True  # nothing failed here and nothing was interrupted
        self.is_over = True  # no episode is under way

    def reset(self, task: Mapping[str, Any], seed: int) -> tuple[Message, ...]:
        if self.env is None:
            self.env = self._make()
        self.is_over = False
        return self.env.reset(seed=seed, options={"task": task})[0]

    def step(self, action: Message) -> tuple[tuple[Message, ...], float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self._open_env().step(action)
        self.is_over = terminated or truncated
        return observation, reward, terminated, truncated, _plain(info)

    def truncate(self) -> tuple[float, dict[str, Any]]:
        reward, info = self._open_env().truncate()
        self.is_over = True
        return reward, _plain(info)

    def _open_env(self) -> ToolEnv[Any, Any]:
        if self.env is None:
            raise RuntimeError("no episode here: it was never reset")
        return self.env


def _plain(info: dict[str, Any]) -> dict[str, Any]:
    """Return JSON data, so that what is recorded equals what is read back."""
    plain: dict[str, Any] = to_jsonable_python(info)
    return plain


def _ignore(_: Outcome) -> None:
    """An environment that cannot be closed has nobody to tell."""
