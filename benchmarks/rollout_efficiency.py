"""How much of the ideal time the rollout engine reaches, what it costs, and whom a tool that never ends holds up.

    python -m benchmarks.rollout_efficiency

Scripted episodes of 1 to 8 turns whose agent and tools wait (lognormal, median 50 ms, 99th percentile 1 s), all in
flight at once. The ideal is the slowest single episode. CPU is the engine's, its worker and the scripted agent
included, without the worker's start. Then the same episodes without waiting, for what a cheap tool costs; and 64
episodes of which one computes for ever, where the delay is the largest among the 63 others against the same episodes
without it.
"""

import asyncio
import math
import os
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from agents import Prompt
from agents.scripted import ScriptedAgent
from envs import EnvConfig, EnvSpec, Message, Rubric, Split, Task, ToolCall, ToolEnv, register, tool
from rollout.engine import RolloutEngine
from rollout.limits import Limits
from rollout.trajectory import Trajectory

MEDIAN_S, P99_S = 0.05, 1.0
SIGMA = math.log(P99_S / MEDIAN_S) / 2.3263478740408408  # the 99th percentile of the standard normal distribution
LIMITS = Limits(step_s=60.0)
PLACES = {"worker process": 1, "threads of this process": 0}


class Waits(Task):
    """An episode's waits."""

    agent_s: tuple[float, ...]
    """Before each message."""
    tool_s: tuple[float, ...]
    """In the tool of each message but the last."""
    tool: str = "wait"

    @property
    def ideal_s(self) -> float:
        """Seconds of the episode with an engine that costs nothing."""
        return sum(self.agent_s) + sum(self.tool_s)


class WaitEnv(ToolEnv[Waits, EnvConfig]):
    """Tools that wait, and one that never ends."""

    rubric = Rubric({"ended": (1.0, lambda e: 1.0)})

    @classmethod
    def tasks(cls, config: EnvConfig, split: Split) -> Sequence[Waits]:
        """Return nothing: the benchmark draws its own."""
        return []

    def establish(self) -> Mapping[str, Any]:
        """Tell the CPU seconds that the process has used so far."""
        return {"cpu_s": time.process_time()}

    @tool
    def wait(self, seconds: float) -> str:
        """Wait in a system call."""
        if seconds:
            time.sleep(seconds)
        return "waited"

    @tool
    async def wait_async(self, seconds: float) -> str:
        """Wait on an event loop."""
        await asyncio.sleep(seconds)
        return "waited"

    @tool
    def spin(self, seconds: float) -> str:
        """Compute for ever."""
        while True:
            pass


register(id="Wait-v0", entry_point="benchmarks.rollout_efficiency:WaitEnv")
SPEC = EnvSpec("benchmarks.rollout_efficiency:Wait-v0", {"max_turns": 9})


@dataclass(frozen=True)
class Measured:
    """One run of the engine."""

    played: list[Trajectory]
    seconds: float
    cpu_ms: float
    """Per turn."""


def draw(count: int, *, tool: str = "wait", scale: float = 1.0) -> list[Waits]:
    """Return episodes, the same for the same count."""
    rng = random.Random(count)
    tasks = []
    for index in range(count):
        waits = [scale * rng.lognormvariate(math.log(MEDIAN_S), SIGMA) for _ in range(2 * rng.randint(1, 8) - 1)]
        tasks.append(
            Waits(id=str(index), prompt="Wait.", agent_s=tuple(waits[::2]), tool_s=tuple(waits[1::2]), tool=tool)
        )
    return tasks


def agent_for(tasks: Sequence[Waits]) -> ScriptedAgent:
    """Return the agent that waits and calls as its task says."""
    by_id = {task.id: task for task in tasks}

    async def script(prompt: Prompt) -> Message:
        task = by_id[prompt.task_id]
        turn = sum(message.role == "tool" for message in prompt.messages)
        if task.agent_s[turn]:
            await asyncio.sleep(task.agent_s[turn])
        if turn == len(task.tool_s):
            return Message.assistant("done")
        return Message.assistant("", ToolCall(name=task.tool, arguments=f'{{"seconds": {task.tool_s[turn]}}}', id="c"))

    return ScriptedAgent(script)


def measure(tasks: Sequence[Waits], workers: int, limits: Limits = LIMITS) -> Measured:
    """Play the tasks, all at once, on an engine that has played one episode before."""
    return asyncio.run(_measure(tasks, workers, limits))


async def _measure(tasks: Sequence[Waits], workers: int, limits: Limits) -> Measured:
    first = Waits(id="first", prompt="Wait.", agent_s=(0.0, 0.0), tool_s=(0.0,))
    agent = agent_for([first, *tasks])
    async with RolloutEngine(agent, SPEC, limits, workers=workers, concurrency=max(1, len(tasks))) as engine:
        before = await engine.run([first], seed=0)
        began, began_cpu_s = time.perf_counter(), time.process_time()
        played = await engine.run(tasks, seed=0)
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu_s
    if workers:
        cpu_s += max(one.facts["cpu_s"] for one in played if one.facts) - before[0].facts["cpu_s"]
    return Measured(played, seconds, 1000 * cpu_s / sum(len(one.turns) for one in played))


def efficiency(console: Console) -> None:
    """Print ideal over actual time for waiting tools."""
    table = _table("episodes that wait", "tools", "episodes", "ideal s", "actual s", "efficiency", "CPU ms a turn")
    for place, workers in PLACES.items():
        for tool_name, count in (("wait", 64), ("wait", 256), ("wait", 1024), ("wait_async", 256)):
            tasks = draw(count, tool=tool_name)
            run = measure(tasks, workers)
            ideal = max(task.ideal_s for task in tasks)
            kind = "async def" if tool_name == "wait_async" else "def"
            numbers = (f"{ideal:.2f}", f"{run.seconds:.2f}", f"{ideal / run.seconds:.3f}", f"{run.cpu_ms:.3f}")
            table.add_row(place, kind, str(count), *numbers)
    console.print(table)


def cost(console: Console) -> None:
    """Print what a turn costs where nothing waits."""
    table = _table("episodes that do not wait", "episodes", "turns/s", "CPU ms a turn")
    for place, workers in PLACES.items():
        run = measure(draw(1024, scale=0.0), workers)
        turns = sum(len(one.turns) for one in run.played)
        table.add_row(place, "1024", f"{turns / run.seconds:.0f}", f"{run.cpu_ms:.3f}")
    console.print(table)


def delay(console: Console) -> None:
    """Print how much later the 63 others end when one of 64 computes for ever."""
    table = _table(
        "one of 64 computes for ever, limits.step_s=10", "with it ms", "without (control) ms", "it ended after s"
    )
    tasks = draw(64)
    spinner = tasks[0].model_copy(update={"tool": "spin", "agent_s": (0.0, 0.0), "tool_s": (1.0,)})
    limits = Limits(step_s=10.0)
    for place, workers in PLACES.items():
        base, control = (measure(tasks, workers, limits).played[1:] for _ in range(2))
        guilty, *others = measure([spinner, *tasks[1:]], workers, limits).played
        worst = [1000 * max(b.seconds - a.seconds for a, b in zip(base, run, strict=True)) for run in (others, control)]
        table.add_row(place, f"{worst[0]:.0f}", f"{worst[1]:.0f}", f"{guilty.seconds:.2f} ({guilty.stop})")
    console.print(table)


def _table(title: str, *headings: str) -> Table:
    table = Table("environments in", title=f"{title}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


if __name__ == "__main__":
    console = Console()
    for part in (cost, efficiency, delay):
        part(console)
