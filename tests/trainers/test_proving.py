from collections.abc import Sequence

import gymnasium
import pytest

from envs import EnvConfig, EnvSpec, Message, Rubric, Task, ToolEnv
from rollout.cli import parse_words
from rollout.trajectory import StopReason, Trajectory
from sandboxes import UsageError
from trainers.config import read_train_config
from trainers.proving import also_in_training, prove, training_and_held_out


class Count(Task):
    answer: int = 0


class CountEnv(ToolEnv[Count, EnvConfig]):
    """Say the number."""

    rubric = Rubric({"right": (1.0, lambda e: float(e.answer == str(e.task.answer)))})

    @classmethod
    def tasks(cls, config, split):
        return [Count(id=f"{split}{n}", prompt="?", answer=n) for n in range(20 if split == "train" else 3)]


class SolvedEnv(CountEnv):
    """Say the number, as shown."""

    def reference(self, task):
        yield Message.assistant(str(task.answer))


class EmptyEnv(CountEnv):
    """Nothing to train on."""

    @classmethod
    def tasks(cls, config, split):
        return []


class UntestedEnv(CountEnv):
    """Nothing held out."""

    @classmethod
    def tasks(cls, config, split):
        return super().tasks(config, split) if split == "train" else []


class TwiceEnv(CountEnv):
    """Two tasks with one id."""

    @classmethod
    def tasks(cls, config, split):
        return [Count(id=str(n // 2), prompt=f"{n}?") for n in range(20)]


for _cls in (CountEnv, SolvedEnv, EmptyEnv, UntestedEnv, TwiceEnv):
    gymnasium.register(id=f"Proving{_cls.__name__}-v0", entry_point=_cls, disable_env_checker=True)


class ScriptedPlayer:
    """Gives each task an outcome of the test's choosing."""

    def __init__(self, reward: float | None, error: str | None = None) -> None:
        self.reward, self.error = reward, error
        self.played: list[str] = []

    def play(self, tasks: Sequence[Task], *, seed: int, agent: object = None) -> list[Trajectory]:
        self.played += [task.id for task in tasks]
        return [
            Trajectory(
                env="e-v0",
                task_id=task.id,
                task={},
                sample=0,
                seed=0,
                opening=(),
                turns=(),
                reward=self.reward,
                stop=StopReason.ANSWERED,
                success=self.reward == 1,
                scores={"right": self.reward or 0.0},
                error=self.error,
            )
            for task in tasks
        ]


def tasks(name):
    return SolvedEnv.tasks(EnvConfig(), name)


def test_references_are_tried_on_tasks_spread_over_all():
    player = ScriptedPlayer(1.0)
    assert prove(EnvSpec("ProvingSolvedEnv-v0"), tasks("train"), player) == 8
    assert player.played[:3] == ["train0", "train2", "train4"]


def test_an_environment_without_references_has_nothing_to_prove():
    player = ScriptedPlayer(0.0)
    assert prove(EnvSpec("ProvingCountEnv-v0"), tasks("train"), player) == 0
    assert player.played == []


@pytest.mark.parametrize(
    ("player", "why"),
    [(ScriptedPlayer(0.0), "answered, right 0"), (ScriptedPlayer(None, "SandboxError: gone"), "SandboxError: gone")],
)
def test_a_reference_that_fails_names_its_task(player, why):
    with pytest.raises(UsageError, match=f"reference of task 'train0' does not succeed: {why}"):
        prove(EnvSpec("ProvingSolvedEnv-v0"), tasks("train"), player)


def config(*words):
    return read_train_config(parse_words(words))


def test_as_many_tasks_are_held_out_as_asked_for():
    training, held_out = training_and_held_out(config("env=ProvingSolvedEnv", "eval.tasks=2"))
    assert len(training) == 20
    assert [task.id for task in held_out] == ["test0", "test1"]


def test_fewer_held_out_tasks_than_asked_for_are_all_played():
    _, held_out = training_and_held_out(config("env=ProvingSolvedEnv"))
    assert len(held_out) == 3


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("ProvingEmptyEnv", "env=ProvingEmptyEnv: it has no training tasks as configured"),
        ("ProvingUntestedEnv", "env=ProvingUntestedEnv: it has no held-out tasks as configured"),
        ("ProvingTwiceEnv", "env=ProvingTwiceEnv: two tasks of its train split have the id '0'"),
    ],
)
def test_tasks_that_cannot_be_used_are_said(env, message):
    with pytest.raises(UsageError, match=message):
        training_and_held_out(config(f"env={env}"))


def test_held_out_tasks_that_occur_in_training_are_counted():
    training = [Count(id="0", prompt="a"), Count(id="1", prompt="b")]
    held_out = [Count(id="2", prompt="b"), Count(id="3", prompt="c")]
    assert also_in_training(training, held_out) == 1
