"""The rollout engine: each episode on its own, typed stop reasons, our failures unscored."""

from agents import Agent, Prompt
from agents.scripted import ScriptedAgent
from envs import Message
from rollout.engine import RolloutEngine
from rollout.limits import Limits
from rollout.trajectory import StopReason, Trajectory
from tests.rollout.gym_envs import Count, call, spec


def task(id: str = "t", prompt: str = "Say 3.") -> Count:
    return Count(id=id, prompt=prompt)


def one_call(name: str, **arguments: object) -> ScriptedAgent:
    """An agent that calls one tool, then gives the right answer."""

    def script(prompt: Prompt) -> Message:
        return Message.assistant("3") if prompt.messages[-1].role == "tool" else call(name, **arguments)

    return ScriptedAgent(script)


async def play(agent: Agent, limits: Limits | None = None, *, workers: int = 0, **config: object) -> Trajectory:
    async with RolloutEngine(agent, spec(**config), limits or Limits(), workers=workers) as engine:
        return await engine.play(task(), seed=1)


async def test_an_episode_is_played_to_its_answer_and_scored() -> None:
    played = await play(one_call("add", a=1, b=2))
    assert (played.stop, played.reward, played.success, played.error) == (StopReason.ANSWERED, 1.0, True, None)
    assert [message.content for message in played.messages] == ["You are in a lab.", "Say 3.", "", "3", "3"]
    assert played.turns[0].tool_calls == 1
    assert played.facts["kind"] == ["a", "b"]
