"""One episode: typed stop reasons, our failures unscored, tokens appended."""

import asyncio
from pathlib import Path

import pytest

from agents import Agent, AgentError, Generation, Prompt
from agents.scripted import ScriptedAgent
from envs import Message
from rollout.engine import RolloutEngine
from rollout.limits import Limits
from rollout.trajectory import StopReason, derive_seed
from tests.rollout.gym_envs import call, spec
from tests.rollout.plays import one_call, play, task
from tests.rollout.token_agent import Line, TokenAgent


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


async def test_seeds_depend_on_run_task_sample_and_turn() -> None:
    agent = TokenAgent([Line(call("add", a=1, b=2)), Line(Message.assistant("3"))])
    async with RolloutEngine(agent, spec(), Limits(), workers=0) as engine:
        played = await engine.play(task(), seed=3, sample=2)
    assert played.seed == derive_seed(3, "t", 2)
    assert [prompt.seed for prompt in agent.prompts] == [derive_seed(played.seed, 0), derive_seed(played.seed, 1)]
