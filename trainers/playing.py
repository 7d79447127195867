"""Players: what the trainer asks for episodes. The trainer is synchronous, the rollout engine is not."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from agents.base import Agent
from envs import Task
from rollout.engine import RolloutEngine
from rollout.trajectory import Trajectory


class Player(Protocol):
    """Plays tasks with the current policy. Tests and engines in other processes bring their own."""

    def play(self, tasks: Sequence[Task], *, seed: int) -> list[Trajectory]:
        """Play every task once, in the order given; a task that occurs G times gives samples 0 to G - 1.

        The same tasks and seed give the same episodes as long as the policy's weights are the same. A failure of ours
        comes back as an unscored trajectory. The turns carry token ids and log-probabilities.
        """
        ...


class EnginePlayer:
    """Plays with a rollout engine, on an event loop that lives as long as the player so that caches may, too.

    Owns the engine: `close` closes it. Not thread-safe.
    """

    def __init__(self, engine: RolloutEngine) -> None:
        self._engine = engine
        self._runner = asyncio.Runner()
        self._closed = False

    def play(self, tasks: Sequence[Task], *, seed: int, agent: Agent | None = None) -> list[Trajectory]:
        """Play every task once, with the engine's agent or another one."""
        return self._runner.run(self._engine.run(tasks, seed=seed, agent=agent))

    def close(self) -> None:
        """Close the engine and the event loop. Closing twice is allowed."""
        if not self._closed:
            self._closed = True
            self._runner.run(self._engine.close())
            self._runner.close()
