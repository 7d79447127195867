"""`RolloutEngine`: plays many episodes at once, each on its own.

An episode is a coroutine; none waits for another's turn. Seeds come from the run seed, the task and the sample alone,
so that neither concurrency nor order changes what is sampled. A failure of ours is retried with the same seed, and
leaves the episode unscored when it comes again.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

from agents import Agent
from envs import EnvSpec, Task
from rollout.episode import Attempt, Ending, Part, PromptTooLongError
from rollout.hosts import EnvError, EnvHungError, Host, LocalHost
from rollout.limits import Limits
from rollout.processes import WorkerHost
from rollout.trajectory import StopReason, Trajectory, derive_seed

_log = logging.getLogger("toolgym.rollout")
_BACKOFF_S = 0.05  # before the first retry; doubled before each further one


class RolloutEngine:
    """Plays episodes of one environment with one agent, `concurrency` of them at a time.

    Args:
        agent: Answers prompts; closing it is its owner's business.
        env: The environment; its class is imported and its configuration checked here.
        limits: What one episode may use.
        concurrency: Episodes in flight at once, at least 1.
        workers: Processes that host the environments; 0 hosts them in threads of this one (for debugging).
        retries: How often an episode is begun again after a failure of ours.
        on_end: Called with each finished trajectory as it ends; what it raises ends the run.

    It may serve one event loop after another, one at a time. Not thread-safe.

    Raises:
        ValueError: a number is out of its range.
        UsageError: there is no such environment.
        pydantic.ValidationError: the environment's configuration is wrong.
    """

    def __init__(
        self,
        agent: Agent,
        env: EnvSpec,
        limits: Limits,
        *,
        concurrency: int = 64,
        workers: int = 1,
        retries: int = 2,
        on_end: Callable[[Trajectory], None] | None = None,
    ) -> None:
        for name, value, least in (("concurrency", concurrency, 1), ("workers", workers, 0), ("retries", retries, 0)):
            if value < least:
                raise ValueError(f"{name}={value}: must be at least {least}")
        env_class = env.env_class()
        env_class.Config(**env.config)
        self._env = env
        self._agent = agent
        self._limits = limits
        self._tools = [tool.schema for tool in env_class.tools.values()]
        self._concurrency = concurrency
        self._retries = retries
        self._on_end = on_end
        self._hosts: list[Host] = [WorkerHost(env) for _ in range(workers)] or [LocalHost(env)]
        self._slots = asyncio.Semaphore(concurrency)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def run(self, tasks: Sequence[Task], *, seed: int, agent: Agent | None = None) -> list[Trajectory]:
        """Play every task and return the trajectories in the order of `tasks`.

        A task's sample index is how often its id came before in `tasks`. Cancelling gives up what is in flight.
        """
        played: dict[int, Trajectory] = {}
        entries = _numbered(tasks)

        async def play_on() -> None:
            for index, task, sample in entries:
                played[index] = await self.play(task, seed=seed, sample=sample, agent=agent)

        await _all_or_none([play_on() for _ in range(min(self._concurrency, len(tasks)))])
        return [played[index] for index in range(len(tasks))]

    async def play(self, task: Task, *, seed: int, sample: int = 0, agent: Agent | None = None) -> Trajectory:
        """Play one episode, once a slot is free, with `agent` if given, else with the engine's own.

        `seed` is the run's: the episode's own derives from it, the task's id and `sample`.
        """
        episode_seed = derive_seed(seed, task.id, sample)
        part = Part(task.id, task.model_dump(mode="json"), episode_seed, self._tools, self._limits)
        async with self._free_slots():
            trajectory = await self._play(part, sample, agent or self._agent)
        if self._on_end is not None:
            self._on_end(trajectory)
        return trajectory

    async def close(self) -> None:
        """Close every environment and end every worker process. Closing twice is allowed."""
        await asyncio.gather(*(host.close() for host in self._hosts))

    async def _play(self, part: Part, sample: int, agent: Agent) -> Trajectory:
        """Begin the episode until an attempt meets no failure of ours, or attempts are used up."""
        for number in range(1, self._retries + 2):
            attempt = Attempt(part, agent, min(self._hosts, key=lambda host: host.load).open())
            ending, may_retry = await _play_attempt(attempt)
            if not may_retry or number > self._retries:
                break
            _log.info("task %s: attempt %d failed and is retried: %s", part.task_id, number, ending.error)
            await asyncio.sleep(_BACKOFF_S * 2 ** (number - 1))
        if ending.error is not None:
            _log.warning("task %s is unscored after %d attempts: %s", part.task_id, number, ending.error)
        return self._record(part, sample, attempt, ending, number)

    def _record(self, part: Part, sample: int, attempt: Attempt, ending: Ending, attempts: int) -> Trajectory:
        return Trajectory(
            env=self._env.id,
            task_id=part.task_id,
            task=part.task,
            sample=sample,
            seed=part.seed,
            opening=attempt.opening,
            turns=tuple(attempt.turns),
            stop=ending.stop,
            reward=ending.reward,
            scores=ending.info.get("scores", {}),
            success=ending.info.get("success", False),
            facts=ending.info.get("facts", {}),
            error=ending.error,
            attempts=attempts,
            seconds=attempt.seconds,
        )

    def _free_slots(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # a semaphore belongs to the loop that waited on it
            self._loop, self._slots = loop, asyncio.Semaphore(self._concurrency)
        return self._slots


async def _play_attempt(attempt: Attempt) -> tuple[Ending, bool]:
    """Play an attempt; returns its ending, and whether playing again might end otherwise."""
    try:
        return await attempt.play(), False
    except EnvHungError as error:
        stop = StopReason.STEP_TIMEOUT if attempt.turns else StopReason.FAILED
        return Ending(stop, None, error=str(error)), False
    except Exception as error:  # an agent or an environment may raise anything; none of it may become a reward
        return Ending(StopReason.FAILED, None, error=_text(error)), not isinstance(error, PromptTooLongError)


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, EnvError) else f"{type(error).__name__}: {error}"


def _numbered(tasks: Sequence[Task]) -> Iterator[tuple[int, Task, int]]:
    """Yield each task with its index and how often its id came before."""
    seen: Counter[str] = Counter()
    for index, task in enumerate(tasks):
        yield index, task, seen[task.id]
        seen[task.id] += 1


async def _all_or_none(coroutines: Sequence[Any]) -> None:
    """Run coroutines together; the first failure, or being cancelled, cancels them all and is raised as it is."""
    running = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.gather(*running)
    finally:
        for future in running:
            future.cancel()
        await asyncio.gather(*running, return_exceptions=True)
