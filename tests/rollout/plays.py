"""Short ways to play one episode of the laboratory, for the tests of the engine."""

from agents import Agent, Prompt
from agents.scripted import ScriptedAgent
from envs import Message
from rollout.engine import RolloutEngine
from rollout.limits import Limits
from rollout.trajectory import Trajectory
from tests.rollout.gym_envs import Count, call, spec


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
