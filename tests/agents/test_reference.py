"""The reference agent plays what an environment ships."""

import pytest

from agents import Agent, AgentError, Prompt
from agents.reference import ReferenceAgent
from envs import Message
from tests.rollout.gym_envs import Count, call, spec

TASKS = [Count(id=name, prompt="Say it.", goal=goal) for name, goal in (("three", 3), ("seven", 7))]


def prompt(episode: str, task_id: str = "three") -> Prompt:
    return Prompt((Message.user("Say it."),), (), (), (), 16, 0, episode, task_id)


async def said(agent: Agent, episode: str, task_id: str) -> Message:
    return (await agent.act(prompt(episode, task_id))).message


async def test_each_episode_plays_its_tasks_reference_on_its_own() -> None:
    agent = ReferenceAgent(spec(), TASKS)
    assert await said(agent, "a", "three") == call("add", a=2, b=1)
    assert await said(agent, "b", "seven") == call("add", a=6, b=1)
    assert await said(agent, "a", "three") == Message.assistant("3")
    assert await said(agent, "b", "seven") == Message.assistant("7")


async def test_an_episode_that_was_forgotten_begins_anew() -> None:
    agent = ReferenceAgent(spec(), TASKS)
    first = await said(agent, "a", "three")
    agent.forget("a")
    agent.forget("never seen")
    assert await said(agent, "a", "three") == first


async def test_a_reference_that_ends_before_its_episode_is_a_failure_of_ours() -> None:
    agent = ReferenceAgent(spec(), TASKS)
    await said(agent, "a", "three")
    await said(agent, "a", "three")
    with pytest.raises(AgentError, match="the reference of task 'three' ended before its episode did"):
        await agent.act(prompt("a"))


async def test_a_reference_that_raises_is_a_failure_of_ours() -> None:
    agent = ReferenceAgent(spec("Unsolvable"), TASKS)
    with pytest.raises(RuntimeError, match="no solution known"):
        await agent.act(prompt("a"))


async def test_a_task_it_was_not_given_is_named_with_the_nearest() -> None:
    agent = ReferenceAgent(spec(), TASKS)
    with pytest.raises(AgentError, match=r"no task 'thre' among the 2 .* did you mean 'three'"):
        await agent.act(prompt("a", "thre"))
    with pytest.raises(AgentError, match=r"was given$"):
        await agent.act(prompt("a", "9999"))


async def test_it_is_an_agent_that_may_be_closed_twice() -> None:
    agent: Agent = ReferenceAgent(spec(), TASKS)
    await agent.close()
    await agent.close()
    assert isinstance(agent, Agent)
