"""What is proved before a policy plays: the tasks can be told apart, the template carries tools, references succeed."""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from transformers import PreTrainedTokenizerBase

from agents.base import Agent
from agents.chat import examine
from agents.reference import ReferenceAgent
from envs import EnvSpec, Task, ToolEnv
from rollout.trajectory import Trajectory
from sandboxes import UsageError
from trainers.config import TrainConfig

_SAMPLE = 8


class AgentPlayer(Protocol):
    """Plays tasks with whatever agent it is given."""

    def play(self, tasks: Sequence[Task], *, seed: int, agent: Agent | None = None) -> list[Trajectory]:
        """Play every task once, in the order given."""
        ...


def training_and_held_out(config: TrainConfig) -> tuple[Sequence[Task], Sequence[Task]]:
    """Return all training tasks, and the first `eval.tasks` held-out ones, or as many as there are.

    Raises:
        UsageError: there are none to train on or none held out, or two tasks have one id.
    """
    spec = config.env_spec
    cls = spec.env_class()
    options = cls.Config(**spec.config)
    training, held_out = cls.tasks(options, "train"), cls.tasks(options, "test")
    for split, tasks in (("train", training), ("test", held_out)):
        twice = [id for id, count in Counter(task.id for task in tasks).most_common(1) if count > 1]
        if twice:
            raise UsageError(f"env={config.env_name}: two tasks of its {split} split have the id {twice[0]!r}")
    for name, tasks in (("training", training), ("held-out", held_out)):
        if not tasks:
            raise UsageError(f"env={config.env_name}: it has no {name} tasks as configured")
    return training, held_out[: config.eval.tasks]


def also_in_training(training: Sequence[Task], held_out: Sequence[Task]) -> int:
    """Return how many held-out tasks have the wording of a training task: success on those shows no generality."""
    seen = {task.prompt for task in training}
    return sum(task.prompt in seen for task in held_out)


def check_template(model: str, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Return what the chat template does, in words.

    Raises:
        UsageError: there is none, or tool-calling episodes cannot be trained with it.
    """
    if not tokenizer.chat_template:
        raise UsageError(f"model={model}: its tokenizer has no chat template; use an instruction-tuned model")
    report = examine(tokenizer)
    if not report.trainable:
        raise UsageError(f"model={model}: its chat template cannot be trained with. {' '.join(report.problems)}")
    return report.words


def prove(spec: EnvSpec, tasks: Sequence[Task], player: AgentPlayer) -> int:
    """Play the scripted references of a few tasks, spread evenly; return how many, 0 if the environment has none.

    Raises:
        UsageError: one does not succeed: the environment, its sandbox or its reference is at fault, not a policy.
    """
    if spec.env_class().reference is ToolEnv.reference:
        return 0
    sample = tasks[:: max(1, len(tasks) // _SAMPLE)][:_SAMPLE]
    for trajectory in player.play(sample, seed=0, agent=ReferenceAgent(spec, sample)):
        if not trajectory.success:
            raise UsageError(
                f"{spec.id}: the scripted reference of task {trajectory.task_id!r} does not succeed: {_why(trajectory)}"
            )
    return len(sample)


def _why(trajectory: Trajectory) -> str:
    if trajectory.error is not None:
        return trajectory.error
    scores = ", ".join(f"{name} {score:g}" for name, score in trajectory.scores.items())
    return f"{trajectory.stop.value}, {scores}"
