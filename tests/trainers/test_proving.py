from collections.abc import Sequence

import gymnasium
import pytest

from envs import EnvConfig, EnvSpec, Message, Rubric, Task, ToolEnv
from rollout.cli import parse_words
from rollout.trajectory import StopReason, Trajectory
from sandboxes import UsageError
from trainers.config import read_train_config
from trainers.proving import prove, training_and_held_out


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


for _cls in (CountEnv, SolvedEnv, EmptyEnv):
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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["env=ProvingSolvedEnv"], "eval.tasks=256: ProvingSolvedEnv has 3 held-out tasks as configured"),
        (["env=ProvingEmptyEnv"], "env=ProvingEmptyEnv: it has no training tasks as configured"),
    ],
)
def test_too_few_tasks_are_said(words, message):
    with pytest.raises(UsageError, match=message):
        training_and_held_out(config(*words))
