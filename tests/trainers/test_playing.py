from agents.scripted import ScriptedAgent
from envs import EnvSpec, Message, find_env
from rollout.engine import RolloutEngine
from rollout.limits import Limits
from trainers.playing import EnginePlayer


def test_a_player_plays_groups_in_order_call_after_call_and_closes_twice():
    spec = EnvSpec(find_env("calculator"), {}, {})
    env = spec.env_class()
    tasks = env.tasks(env.Config(), "train")[:2]
    player = EnginePlayer(
        RolloutEngine(ScriptedAgent(lambda prompt: Message.assistant("no idea")), spec, Limits(), workers=0)
    )
    group = [tasks[0], tasks[0], tasks[1]]
    first, second = player.play(group, seed=1), player.play(group, seed=1)
    assert [(t.task_id, t.sample) for t in first] == [(tasks[0].id, 0), (tasks[0].id, 1), (tasks[1].id, 0)]
    assert [t.seed for t in first] == [t.seed for t in second]
    assert all(t.scored for t in first)
    other = ScriptedAgent(lambda prompt: Message.assistant("another"))
    assert player.play(tasks, seed=2, agent=other)[0].messages[-1].content == "another"
    player.close()
    player.close()
