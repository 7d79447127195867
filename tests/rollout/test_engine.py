"""The rollout engine: many episodes at once, each on its own."""

import asyncio
import random
from pathlib import Path

import pytest
from pydantic import ValidationError

from agents import Prompt
from agents.scripted import ScriptedAgent
from envs import Message
from rollout.engine import RolloutEngine
from rollout.limits import Limits
from rollout.trajectory import StopReason, Trajectory
from sandboxes import UsageError
from tests.rollout.gym_envs import Count, call, spec
from tests.rollout.plays import one_call, task
from tests.rollout.token_agent import Line, TokenAgent


async def test_neither_concurrency_nor_order_changes_an_episode() -> None:
    rng = random.Random(0)

    async def script(prompt: Prompt) -> Message:
        await asyncio.sleep(rng.random() / 100)
        return call("draw") if len(prompt.messages) < 6 else Message.assistant(str(prompt.seed % 7))

    async def outcomes(tasks: list[Count], concurrency: int) -> dict[tuple[str, int], object]:
        engine = RolloutEngine(ScriptedAgent(script), spec(), Limits(), workers=0, concurrency=concurrency)
        async with engine:
            played = await engine.run(tasks, seed=5)
        assert [trajectory.task_id for trajectory in played] == [task.id for task in tasks]
        return {(one.task_id, one.sample): (one.seed, one.messages, one.reward) for one in played}

    tasks = [task(str(k % 4)) for k in range(12)]
    reference = await outcomes(tasks, 1)
    assert set(reference) == {(str(k), sample) for k in range(4) for sample in range(3)}
    assert len({seed for seed, _, _ in reference.values()}) == 12
    assert await outcomes(tasks[::-1], 12) == reference
    assert await outcomes(tasks, 5) == reference


async def test_no_more_episodes_are_in_flight_than_asked_for() -> None:
    flying, most = 0, 0

    async def script(_: Prompt) -> Message:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(0.005)
        flying -= 1
        return Message.assistant("3")

    async with RolloutEngine(ScriptedAgent(script), spec(), Limits(), workers=0, concurrency=3) as engine:
        await engine.run([task(str(k)) for k in range(10)], seed=0)
    assert most == 3


async def test_an_episode_that_waits_holds_up_no_other_and_trajectories_stream_as_they_end() -> None:
    others_ended = asyncio.Event()
    ended: list[str] = []

    def on_end(trajectory: Trajectory) -> None:
        ended.append(trajectory.task_id)
        if len(ended) == 7:
            others_ended.set()

    async def script(prompt: Prompt) -> Message:
        if prompt.task_id == "0":
            await others_ended.wait()
        return Message.assistant("3") if prompt.messages[-1].role == "tool" else call("add", a=1, b=2)

    async with RolloutEngine(
        ScriptedAgent(script), spec(), Limits(), workers=0, concurrency=8, on_end=on_end
    ) as engine:
        played = await engine.run([task(str(k)) for k in range(8)], seed=0)
    assert ended[-1] == "0"
    assert [trajectory.task_id for trajectory in played] == [str(k) for k in range(8)]


async def test_what_on_end_raises_ends_the_run_as_it_is() -> None:
    def full_disk(_: Trajectory) -> None:
        raise OSError(28, "No space left on device")

    agent = one_call("add", a=1, b=2)
    async with RolloutEngine(agent, spec(), Limits(), workers=0, on_end=full_disk) as engine:
        with pytest.raises(OSError, match="No space left"):
            await engine.run([task(str(k)) for k in range(4)], seed=0)


async def test_nothing_to_play_gives_nothing() -> None:
    async with RolloutEngine(one_call("stop"), spec(), Limits(), workers=0) as engine:
        assert await engine.run([], seed=0) == []


async def test_cancelling_frees_the_slot_the_environment_and_what_the_agent_cached(tmp_path: Path) -> None:
    agent = TokenAgent([Line(call("spin")), Line(call("add", a=1, b=2)), Line(Message.assistant("3"))])
    engine = RolloutEngine(agent, spec(marks=str(tmp_path)), Limits(), workers=0, concurrency=1)
    playing = asyncio.ensure_future(engine.play(task("cancelled"), seed=0))
    while not (tmp_path / "spinning-cancelled").exists():  # noqa: ASYNC110  # a tool's file, from another thread
        await asyncio.sleep(0.01)
    playing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await playing
    assert agent.forgotten == [agent.prompts[0].episode]
    assert (await engine.play(task("next"), seed=0)).reward == 1.0
    await engine.close()
    assert (tmp_path / "released-cancelled").exists()


async def test_another_agent_may_play_on_the_same_engine() -> None:
    async with RolloutEngine(one_call("stop"), spec(), Limits(), workers=0) as engine:
        played = await engine.run([task()], seed=0, agent=one_call("add", a=1, b=2))
    assert played[0].stop is StopReason.ANSWERED


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"concurrency": 0}, "concurrency=0: must be at least 1"),
        ({"workers": -1}, "workers=-1: must be at least 0"),
        ({"retries": -1}, "retries=-1: must be at least 0"),
    ],
)
def test_numbers_out_of_range_are_said(numbers: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RolloutEngine(one_call("stop"), spec(), Limits(), **numbers)


def test_an_unknown_environment_or_option_is_said_before_anything_is_played() -> None:
    with pytest.raises(UsageError, match="no environment"):
        RolloutEngine(one_call("stop"), spec("Lap"), Limits())
    with pytest.raises(ValidationError, match="max_turn"):
        RolloutEngine(one_call("stop"), spec(max_turn=3), Limits())


@pytest.mark.parametrize(
    "wrong", [{"max_tokens": 1}, {"max_new_tokens": 0}, {"step_s": 0}, {"episode_s": float("inf")}]
)
def test_a_limit_out_of_its_range_is_said(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Limits(**wrong)
