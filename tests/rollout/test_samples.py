"""Samples: exactly the sampled tokens are trained, whatever the agent's template did."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import Message
from rollout.engine import RolloutEngine
from rollout.limits import Limits
from rollout.samples import samples
from rollout.trajectory import StopReason, Trajectory, Turn
from tests.rollout.gym_envs import Count, call, spec
from tests.rollout.token_agent import Line, TokenAgent


def trajectory(*turns: Turn) -> Trajectory:
    return Trajectory("e", "t", {}, 0, 0, (), turns, StopReason.ANSWERED, 1.0)


def turn(prompt: tuple[int, ...], sampled: tuple[int, ...]) -> Turn:
    return Turn(Message.assistant(), (), prompt, sampled, tuple(-float(id) for id in sampled))


def play(agent: TokenAgent, limits: Limits) -> Trajectory:
    async def run() -> Trajectory:
        async with RolloutEngine(agent, spec(max_turns=6), limits, workers=0) as engine:
            return await engine.play(Count(id="t", prompt="p"), seed=0)

    return asyncio.run(run())


lines = st.lists(st.builds(Line, st.just(call("add", a=1, b=2)), st.integers(1, 9)), max_size=5).map(
    lambda calls: [*calls, Line(Message.assistant("3"), 3)]
)


@settings(max_examples=30, deadline=None)
@given(lines=lines, rendered=st.integers(0, 4), rewrites=st.frozensets(st.integers(1, 5)), room=st.integers(20, 90))
def test_every_sampled_id_is_trained_once_with_its_own_logprob_and_nothing_else_is(
    lines: list[Line], rendered: int, rewrites: frozenset[int], room: int
) -> None:
    agent = TokenAgent(lines, rendered + 1, rewrites)
    played = play(agent, Limits(max_tokens=room))
    found = samples(played)
    trained = [
        (id, logprob)
        for sample in found
        for id, mask, logprob in zip(sample.completion_ids, sample.env_mask, sample.logprobs, strict=True)
        if mask
    ]
    assert trained == [pair for one in played.turns for pair in zip(one.completion_ids, one.logprobs, strict=True)]
    assert {id for id, _ in trained} <= agent.sampled
    assert len({id for id, _ in trained}) == len(trained)
    for sample in found:
        assert sample.env_mask[-1] == 1
        masked = zip(sample.completion_ids, sample.env_mask, sample.logprobs, strict=True)
        assert all(logprob == 0.0 for _, mask, logprob in masked if not mask)
        assert len(sample.prompt_ids) + len(sample.completion_ids) <= room


@settings(max_examples=20, deadline=None)
@given(lines=lines, rewrites=st.frozensets(st.integers(1, 5)))
def test_a_sample_is_what_the_agent_saw_and_forks_exactly_where_history_was_rewritten(
    lines: list[Line], rewrites: frozenset[int]
) -> None:
    agent = TokenAgent(lines, 2, rewrites)
    found = samples(play(agent, Limits()))
    happened = [index for index in range(1, len(agent.generations)) if index in rewrites]
    assert len(found) == 1 + len(happened)
    last_of_chain = [index - 1 for index in happened] + [len(agent.generations) - 1]
    for sample, index in zip(found, last_of_chain, strict=True):
        generation = agent.generations[index]
        assert sample.prompt_ids + sample.completion_ids == generation.prompt_ids + generation.completion_ids


def test_what_the_environment_said_between_two_turns_is_masked() -> None:
    (sample,) = samples(trajectory(turn((1, 2), (3,)), turn((1, 2, 3, 9, 9), (4, 5))))
    assert (sample.prompt_ids, sample.completion_ids) == ((1, 2), (3, 9, 9, 4, 5))
    assert (sample.env_mask, sample.logprobs) == ((1, 0, 0, 1, 1), (-3.0, 0.0, 0.0, -4.0, -5.0))


def test_a_prompt_shorter_than_what_came_before_breaks_the_chain() -> None:
    found = samples(trajectory(turn((1, 2), (3, 4)), turn((1, 2, 3), (5,))))
    assert [sample.completion_ids for sample in found] == [(3, 4), (5,)]


def test_agents_without_token_ids_give_no_samples() -> None:
    assert samples(trajectory(turn((), ()), turn((), ()))) == []


def test_logprobs_that_do_not_match_are_never_trained_on() -> None:
    broken = Turn(Message.assistant(), (), (1,), (2, 3), (-0.1,))
    with pytest.raises(ValueError, match="1 logprobs for 2 sampled ids"):
        samples(trajectory(broken))
