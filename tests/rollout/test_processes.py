"""Worker processes: replaced when they die or hang, gone when they should be."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents import Prompt
from agents.scripted import ScriptedAgent
from envs import EnvSpec, Message
from rollout.engine import RolloutEngine
from rollout.limits import Limits
from rollout.trajectory import StopReason, Trajectory
from tests.rollout.gym_envs import Count, call, spec


def does(name: str, *, by: str = "guilty", **arguments: object) -> ScriptedAgent:
    """Return an agent for which only the episode of task `by` calls the tool; the others add, wait and answer."""

    def script(prompt: Prompt) -> Message:
        said = sum(message.role == "tool" for message in prompt.messages)
        if said == 2:
            return Message.assistant("3")
        if prompt.task_id == by:
            return call(name, **arguments)
        return call("add", a=1, b=2) if said else call("rest", seconds=0.01)

    return ScriptedAgent(script)


def task(id: str) -> Count:
    return Count(id=id, prompt="Say 3.")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pid: int) -> None:
    for _ in range(500):
        if not is_running(pid):
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} is still there")


def ending_of(trajectory: Trajectory) -> tuple[StopReason, float | None]:
    return trajectory.stop, trajectory.reward


class Lab:
    """An engine of one worker process whose tools leave marks in a folder. It serves one event loop after another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ended: list[str] = []
        self.engine = RolloutEngine(
            does("add", a=1, b=2),
            spec(marks=str(folder)),
            Limits(step_s=1.0),
            concurrency=64,
            on_end=lambda trajectory: self.ended.append(trajectory.task_id),
        )

    def run(self, agent: ScriptedAgent, tasks: list[str]) -> dict[str, Trajectory]:
        self.ended.clear()
        for mark in self.folder.iterdir():
            mark.unlink()
        played = asyncio.run(self.engine.run([task(id) for id in tasks], seed=0, agent=agent))
        return {trajectory.task_id: trajectory for trajectory in played}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("marks"))
    yield lab
    asyncio.run(lab.engine.close())


OTHERS = [str(k) for k in range(63)]


def test_episodes_in_a_worker_are_those_played_in_this_process(lab: Lab) -> None:
    async def here() -> list[Trajectory]:
        async with RolloutEngine(does("draw"), spec(marks=str(lab.folder)), Limits(), workers=0) as engine:
            return await engine.run([task(id) for id in ["guilty", "1", "2"]], seed=0)

    there = lab.run(does("draw"), ["guilty", "1", "2"])
    for trajectory in asyncio.run(here()):
        assert trajectory.messages == there[trajectory.task_id].messages
        assert trajectory.facts["pid"] != there[trajectory.task_id].facts["pid"]


def test_a_worker_is_another_process_without_torch_in_which_an_environment_keeps_its_thread(lab: Lab) -> None:
    turns = lab.run(does("whoami"), ["guilty"])["guilty"].turns
    first, second = (turn.observation[0].content.split() for turn in turns[:2])
    assert first == second
    assert int(first[0]) != os.getpid()
    assert first[2] == "False"


def test_a_tool_that_computes_for_ever_delays_no_other_episode_and_is_scored(lab: Lab) -> None:
    played = lab.run(does("spin"), ["guilty", *OTHERS])
    assert lab.ended[-1] == "guilty"
    assert ending_of(played.pop("guilty")) == (StopReason.STEP_TIMEOUT, 0.0)
    assert {ending_of(one) for one in played.values()} == {(StopReason.ANSWERED, 1.0)}
    assert {one.attempts for one in played.values()} == {1}


def test_after_a_deadline_every_slot_is_free_again(lab: Lab) -> None:
    played = lab.run(does("add", a=1, b=2), ["guilty", *OTHERS])
    assert {ending_of(one) for one in played.values()} == {(StopReason.ANSWERED, 1.0)}


@pytest.mark.parametrize("name", ["defy", "hold"])
def test_a_tool_that_no_exception_stops_loses_its_process_and_only_its_own_episode(lab: Lab, name: str) -> None:
    played = lab.run(does(name), ["guilty", *OTHERS[:9]])
    guilty = played.pop("guilty")
    assert (*ending_of(guilty), guilty.attempts) == (StopReason.STEP_TIMEOUT, None, 1)
    assert guilty.error is not None
    assert "went on computing" in guilty.error
    assert {ending_of(one) for one in played.values()} == {(StopReason.ANSWERED, 1.0)}


def test_the_episodes_of_a_worker_that_dies_are_played_again_in_its_replacement(lab: Lab) -> None:
    played = lab.run(does("die", once=True), ["guilty", "1", "2"])
    assert {ending_of(one) for one in played.values()} == {(StopReason.ANSWERED, 1.0)}
    assert played["guilty"].attempts == 2


def test_an_episode_that_kills_its_worker_every_time_is_unscored(lab: Lab) -> None:
    guilty = lab.run(does("die", once=False), ["guilty"])["guilty"]
    assert (*ending_of(guilty), guilty.attempts) == (StopReason.FAILED, None, 3)
    assert guilty.error == "WorkerDied: the worker process ended with exit code -9"


def test_what_a_tool_prints_or_returns_in_bulk_breaks_nothing(lab: Lab, capfd: pytest.CaptureFixture[str]) -> None:
    assert ending_of(lab.run(does("shout"), ["guilty"])["guilty"]) == (StopReason.ANSWERED, 1.0)
    assert capfd.readouterr().out == ""
    bulky = lab.run(does("big", size=5_000_000), ["guilty"])["guilty"]
    assert "cut: the first 16384 of 5000000 bytes" in bulky.turns[0].observation[0].content


def test_a_task_of_any_size_reaches_its_worker(lab: Lab) -> None:
    huge = Count(id="huge", prompt="Say 3. " + "x" * 5_000_000)
    played = asyncio.run(lab.engine.run([huge], seed=0, agent=does("add", by="huge", a=1, b=2)))
    assert ending_of(played[0]) == (StopReason.ANSWERED, 1.0)


def test_cancelling_interrupts_the_tool_in_its_worker(lab: Lab) -> None:
    async def cancel() -> None:
        playing = asyncio.ensure_future(lab.engine.play(task("cancelled"), seed=0, agent=does("spin", by="cancelled")))
        await appears(lab.folder / "spinning-cancelled")
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        await appears(lab.folder / "released-cancelled")

    asyncio.run(cancel())


async def appears(path: Path) -> None:
    for _ in range(1000):
        if path.exists():  # noqa: ASYNC240  # a test may look at a file
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{path.name} never appeared")


async def test_an_engine_that_is_closed_leaves_no_process_and_its_episodes_fail() -> None:
    pids: set[int] = set()

    def script(prompt: Prompt) -> Message:
        if prompt.messages[-1].role == "user":
            return call("whoami")
        pids.add(int(prompt.messages[-1].content.split()[0]))
        return call("rest", seconds=20.0) if prompt.task_id == "slow" else Message.assistant("3")

    engine = RolloutEngine(ScriptedAgent(script), spec(), Limits(), workers=2, retries=0)
    await asyncio.gather(*(engine.play(task(str(k)), seed=0) for k in range(4)))
    assert len(pids) == 2
    playing = asyncio.ensure_future(engine.play(task("slow"), seed=0))
    await asyncio.sleep(0.1)
    await engine.close()
    await engine.close()
    assert (await playing).stop is StopReason.FAILED
    assert not any(is_running(pid) for pid in pids)


async def test_an_environment_that_only_its_worker_cannot_import_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = RolloutEngine(does("add", a=1, b=2), spec(), Limits(), retries=0)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if "site-packages" not in entry])
    played = await engine.play(task("t"), seed=0)
    await engine.close()
    assert played.stop is StopReason.FAILED
    assert played.error is not None
    assert "WorkerDied" in played.error


async def test_a_registration_made_by_the_programs_own_code_holds_in_its_workers() -> None:
    async with RolloutEngine(does("add", a=1, b=2), EnvSpec("Lab-v0"), Limits()) as engine:
        assert (await engine.play(task("t"), seed=0)).reward == 1.0


PARENT = """
import asyncio, sys
from agents.scripted import ScriptedAgent
from rollout.engine import RolloutEngine
from rollout.limits import Limits
from tests.rollout.gym_envs import Count, call, spec
engine = RolloutEngine(ScriptedAgent(lambda _: call("hold")), spec(marks=sys.argv[1]), Limits())
asyncio.run(engine.play(Count(id="t", prompt="p"), seed=0))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a worker notices when its tool lets it")
def test_a_worker_ends_with_its_parent_even_while_a_tool_holds_the_interpreter(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], env=environment)
    mark = tmp_path / "holding-t"
    while not (mark.exists() and mark.read_text()):
        assert parent.poll() is None
        time.sleep(0.02)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until_gone(int(mark.read_text()))
