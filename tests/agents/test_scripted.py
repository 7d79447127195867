"""The scripted agent."""

import asyncio

import pytest

from agents import Agent, Prompt
from agents.scripted import ScriptedAgent
from envs import Message

PROMPT = Prompt((Message.user("2 + 2?"),), (), (), (), 16, 0)


async def test_it_answers_with_what_its_script_returns_and_has_no_token_ids() -> None:
    agent = ScriptedAgent(lambda prompt: Message.assistant(prompt.messages[-1].content.upper()))
    generation = await agent.act(PROMPT)
    assert generation.message == Message.assistant("2 + 2?")
    assert (generation.prompt_ids, generation.completion_ids, generation.logprobs) == ((), (), ())
    assert generation.finish_reason == "stop"


async def test_a_script_may_wait() -> None:
    async def script(_: Prompt) -> Message:
        await asyncio.sleep(0)
        return Message.assistant("4")

    assert (await ScriptedAgent(script).act(PROMPT)).message.content == "4"


async def test_what_a_script_raises_leaves_the_agent() -> None:
    def script(_: Prompt) -> Message:
        raise LookupError("no line")

    with pytest.raises(LookupError, match="no line"):
        await ScriptedAgent(script).act(PROMPT)


async def test_it_is_an_agent_that_owns_nothing() -> None:
    agent: Agent = ScriptedAgent(lambda _: Message.assistant())
    agent.forget("anything")
    await agent.close()
    await agent.close()
    assert isinstance(agent, Agent)
