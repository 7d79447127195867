"""The rollout engine: each episode on its own, typed stop reasons, our failures unscored."""

import asyncio
import random
from pathlib import Path

import pytest
from pydantic import ValidationError

from agents import Agent, AgentError, Generation, Prompt
from agents.scripted import ScriptedAgent
from envs import Message
from rollout.engine import RolloutEngine
from rollout.limits import Limits
from rollout.trajectory import StopReason, Trajectory, derive_seed
from sandboxes import UsageError
from tests.rollout.gym_envs import Count, call, spec
from tests.rollout.token_agent import Line, TokenAgent


def task(id: str = "t", prompt: str = "Say 3.") -> Count:
    return Count(id=id, prompt=prompt)


def one_call(name: str, **arguments: object) -> ScriptedAgent:
    """Return an agent that calls one tool, then gives the right answer."""

    def script(prompt: Prompt) -> Message:
        return Message.assistant("3") if prompt.messages[-1].role == "tool" else call(name, **arguments)

    return ScriptedAgent(script)


async def play(agent: Agent, limits: Limits | None = None, *, env: str = "Lab", **config: object) -> Trajectory:
    async with RolloutEngine(agent, spec(env, **config), limits or Limits(), workers=0) as engine:
        return await engine.play(task(), seed=1)


# Stop reasons


async def test_an_episode_is_played_to_its_answer_and_scored() -> None:
    played = await play(one_call("add", a=1, b=2))
    assert (played.stop, played.reward, played.success, played.error) == (StopReason.ANSWERED, 1.0, True, None)
    assert [message.content for message in played.messages] == ["You are in a lab.", "Say 3.", "", "3", "3"]
    assert (played.turns[0].tool_calls, played.turns[0].tool_errors, played.attempts) == (1, (), 1)
    assert (played.scores, played.facts["kind"]) == ({"right": 1.0}, ["a", "b"])


async def test_a_tool_that_ends_the_episode_and_the_limit_of_turns_have_their_own_reasons() -> None:
    assert (await play(one_call("stop"))).stop is StopReason.ENDED
    endless = ScriptedAgent(lambda _: call("add", a=1, b=1))
    played = await play(endless, max_turns=2)
    assert (played.stop, len(played.turns), played.reward) == (StopReason.MAX_TURNS, 2, 0.0)


async def test_a_mistake_of_the_policy_goes_on_and_is_counted() -> None:
    played = await play(one_call("ad", a=1))
    assert played.turns[0].tool_errors == ("unknown_tool",)
    assert played.reward == 1.0


async def test_a_message_cut_at_its_limit_ends_the_episode_which_is_scored() -> None:
    agent = TokenAgent([Line(call("add", a=1, b=2)), Line(Message.assistant("3 and"), 4, "length")])
    played = await play(agent)
    assert (played.stop, played.reward, played.error) == (StopReason.MAX_TOKENS, 0.0, None)
    assert [len(turn.completion_ids) for turn in played.turns] == [5, 4]
    assert played.turns[1].observation == ()


async def test_no_message_may_be_longer_than_what_is_left_of_the_episode() -> None:
    agent = TokenAgent([Line(call("add", a=1, b=2), tokens=10)])
    played = await play(agent, Limits(max_tokens=40, max_new_tokens=30))
    # 6 for the opening, 10 a message, 3 a result: the third prompt has 32 ids, which leaves room for 8.
    assert [prompt.max_new_tokens for prompt in agent.prompts] == [30, 24, 11]
    assert [len(turn.completion_ids) for turn in played.turns] == [10, 10, 8]
    assert (played.stop, played.turns[-1].logprobs) == (StopReason.MAX_TOKENS, agent.generations[-1].logprobs[:8])


async def test_an_episode_whose_tokens_are_used_up_asks_for_no_further_message() -> None:
    agent = TokenAgent([Line(call("add", a=1, b=2), tokens=10)])
    played = await play(agent, Limits(max_tokens=16))
    assert (played.stop, len(played.turns), len(agent.prompts)) == (StopReason.MAX_TOKENS, 1, 1)


async def test_a_result_that_leaves_no_room_ends_the_episode_before_the_message_it_prompted() -> None:
    agent = TokenAgent([Line(call("add", a=1, b=2), tokens=10)])
    played = await play(agent, Limits(max_tokens=18))
    assert (played.stop, len(played.turns), len(agent.prompts)) == (StopReason.MAX_TOKENS, 1, 2)


async def test_a_task_whose_prompt_fills_the_episode_is_unscored_with_its_numbers_and_not_retried() -> None:
    played = await play(TokenAgent([Line(Message.assistant("3"))], rendered=600))
    assert (played.stop, played.reward, played.attempts) == (StopReason.FAILED, None, 1)
    assert played.error is not None
    assert "1200 tokens" in played.error
    assert "limits.max_tokens=1024" in played.error


async def test_an_agent_slower_than_the_episode_may_last_is_cancelled_and_the_episode_scored() -> None:
    cancelled = []

    async def dawdle(_: Prompt) -> Message:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return Message.assistant("3")

    played = await play(ScriptedAgent(dawdle), Limits(episode_s=0.2))
    assert (played.stop, played.reward, cancelled) == (StopReason.EPISODE_TIMEOUT, 0.0, [True])


async def test_an_episode_may_run_out_of_time_in_a_tool() -> None:
    played = await play(one_call("spin"), Limits(episode_s=0.3))
    assert (played.stop, played.reward) == (StopReason.EPISODE_TIMEOUT, 0.0)


@pytest.mark.parametrize("name", ["spin", "rest", "rest_async"])
async def test_a_tool_past_its_deadline_is_stopped_and_the_episode_scored(name: str) -> None:
    arguments = {} if name == "spin" else {"seconds": 2.0}
    played = await play(one_call(name, **arguments), Limits(step_s=0.2))
    assert (played.stop, played.reward, played.scores) == (StopReason.STEP_TIMEOUT, 0.0, {"right": 0.0})
    assert (played.turns[0].observation, played.turns[0].tool_calls, played.attempts) == ((), 1, 1)


# Failures of ours


async def failing_agent(prompt: Prompt) -> Message:
    raise AgentError("the server is gone")


async def impatient_agent(prompt: Prompt) -> Message:
    raise TimeoutError("no answer from the server")


@pytest.mark.parametrize(
    ("agent", "env", "error"),
    [
        (ScriptedAgent(failing_agent), "Lab", "AgentError: the server is gone"),
        (ScriptedAgent(impatient_agent), "Lab", "TimeoutError: no answer from the server"),
        (one_call("fail"), "Lab", "SandboxError: the machine is gone"),
        (one_call("leave"), "Lab", "SystemExit: 3"),
        (one_call("add", a=1, b=2), "BrokenRubric", "RubricError: criterion 'broken' raised ZeroDivisionError"),
        (one_call("add", a=1, b=2), "OddFacts", "PydanticSerializationError: "),
    ],
)
async def test_a_failure_of_ours_is_retried_and_then_leaves_the_episode_unscored(
    agent: Agent, env: str, error: str
) -> None:
    played = await play(agent, env=env)
    assert (played.stop, played.reward, played.scored, played.attempts) == (StopReason.FAILED, None, False, 3)
    assert played.error is not None
    assert played.error.startswith(error)
    assert played.opening


async def test_a_failure_that_passes_is_retried_with_the_same_seeds(tmp_path: Path) -> None:
    seeds = []

    def script(prompt: Prompt) -> Message:
        seeds.append(prompt.seed)
        return Message.assistant("3") if prompt.messages[-1].role == "tool" else call("fail", once=True)

    played = await play(ScriptedAgent(script), marks=str(tmp_path))
    assert (played.attempts, played.reward, played.error) == (2, 1.0, None)
    assert seeds == [derive_seed(played.seed, turn) for turn in (0, 0, 1)]


async def test_a_sandbox_that_does_not_open_and_a_reset_past_its_deadline_are_failures_of_ours() -> None:
    async with RolloutEngine(one_call("add", a=1, b=2), spec(), Limits(step_s=0.1), workers=0, retries=0) as engine:
        without = await engine.play(task(prompt="no sandbox"), seed=1)
        late = await engine.play(task(prompt="never begins"), seed=1)
    assert (without.stop, without.error) == (StopReason.FAILED, "SandboxError: no machine left")
    assert (late.stop, late.error) == (StopReason.FAILED, "TimeoutError: reset took longer than 0.1 s")


async def test_log_probabilities_that_do_not_match_their_ids_are_a_failure_of_the_agent() -> None:
    class Careless(TokenAgent):
        async def act(self, prompt: Prompt) -> Generation:
            return Generation(Message.assistant("3"), (1, 2), (3, 4), (-0.5,))

    played = await play(Careless([]))
    assert played.error == "AgentError: the agent gave 1 logprobs for 2 sampled ids"


# Tokens and seeds


async def test_each_prompt_carries_exactly_the_ids_committed_so_far_and_the_messages_that_are_new() -> None:
    agent = TokenAgent([Line(call("add", a=1, b=2)), Line(call("add", a=2, b=2)), Line(Message.assistant("3"))])
    played = await play(agent)
    first, second, third = agent.prompts
    assert (first.prefix_ids, first.new, first.messages) == ((), played.opening, played.opening)
    assert second.prefix_ids == agent.generations[0].prompt_ids + agent.generations[0].completion_ids
    assert third.prefix_ids == agent.generations[1].prompt_ids + agent.generations[1].completion_ids
    assert third.new == played.turns[1].observation
    assert third.messages == played.messages[:-1]
    assert [schema["function"]["name"] for schema in first.tools][:2] == ["add", "rest"]


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


async def test_seeds_depend_on_run_task_sample_and_turn() -> None:
    agent = TokenAgent([Line(call("add", a=1, b=2)), Line(Message.assistant("3"))])
    async with RolloutEngine(agent, spec(), Limits(), workers=0) as engine:
        played = await engine.play(task(), seed=3, sample=2)
    assert played.seed == derive_seed(3, "t", 2)
    assert [prompt.seed for prompt in agent.prompts] == [derive_seed(played.seed, 0), derive_seed(played.seed, 1)]


# Many at once


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


# Bad input


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
