"""What is proved before a policy plays: the chat template carries tools, and the environment's references succeed."""

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
    """Return all training tasks, and the first `eval.tasks` held-out ones.

    Raises:
        UsageError: there are none to train on, or fewer held-out ones than are asked for.
    """
    spec = config.env_spec
    cls = spec.env_class()
    options = cls.Config(**spec.config)
    training, held_out = cls.tasks(options, "train"), cls.tasks(options, "test")
    if not training:
        raise UsageError(f"env={config.env_name}: it has no training tasks as configured")
    if len(held_out) < config.eval.tasks:
        raise UsageError(
            f"eval.tasks={config.eval.tasks}: {config.env_name} has {len(held_out)} held-out tasks as configured"
        )
    return training, held_out[: config.eval.tasks]


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
