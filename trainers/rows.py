"""From tasks to the rows of a dataset, and from trajectories to the token rows that TRL learns from."""

from collections import Counter
from collections.abc import Sequence

from datasets import Dataset

from envs import Task
from rollout.samples import Sample, samples
from rollout.trajectory import StopReason, Trajectory

CUT_SHORT = frozenset(
    {StopReason.MAX_TURNS, StopReason.MAX_TOKENS, StopReason.EPISODE_TIMEOUT, StopReason.STEP_TIMEOUT}
)
"""The stops that count as truncated: a limit ended the episode, neither the policy nor a tool."""


def dataset_of(tasks: Sequence[Task]) -> Dataset:
    """Return a dataset with a row per task: its `prompt` and the whole `task` as JSON text.

    The prompt is plain text: TRL only logs it, and TRL 1.16 would parse the completions of a conversational prompt as
    one assistant message, which an episode is not.

    Raises:
        ValueError: no tasks, or an id that occurs twice.
    """
    if not tasks:
        raise ValueError("there are no tasks to train on")
    task_id, count = Counter(task.id for task in tasks).most_common(1)[0]
    if count > 1:
        raise ValueError(f"task id {task_id!r} occurs {count} times; ids are unique within a split")
    return Dataset.from_list([{"prompt": task.prompt, "task": task.model_dump_json()} for task in tasks])


def row_of(trajectory: Trajectory, *, blank_id: int, max_tokens: int) -> Sample:
    """Return what TRL is given for a trajectory: its one sample, or a blank that nothing is learnt from.

    An unscored trajectory gives the blank, as does one that a limit ended before the first token: one prompt token and
    one completion token, not sampled by the policy (TRL 1.16 reads `ids[-1]`: a completion may not be empty).

    Raises:
        ValueError: the trajectory has no token ids, forks, or its completion is longer than `max_tokens`.
    """
    blank = Sample(prompt_ids=(blank_id,), completion_ids=(blank_id,), env_mask=(0,), logprobs=(0.0,))
    if not (trajectory.scored and trajectory.turns):
        return blank
    chains = samples(trajectory)
    where = f"task {trajectory.task_id!r}, sample {trajectory.sample}"
    if not chains or not any(any(chain.env_mask) for chain in chains):
        raise ValueError(f"{where}: the turns have no token ids, so there is nothing to train; play with a policy")
    if len(chains) > 1:
        raise ValueError(
            f"{where}: its turns do not extend one another but fork into {len(chains)} samples, since the chat "
            "template rewrites history; train with a template that keeps what was said"
        )
    length = len(chains[0].completion_ids)
    if length > max_tokens:
        raise ValueError(
            f"{where}: {length} tokens after the prompt, but max_completion_length={max_tokens} bounds the whole "
            "episode; raise it, or lower the episode's token limit"
        )
    return chains[0]
