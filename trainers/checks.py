"""What is said before training starts: options without effect, and batches that the tasks cannot fill."""

from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import cast, get_args

from trl.trainer.grpo_config import GRPOConfig

from envs import Task
from trainers.importance import ImportanceCorrection, Mode
from trainers.without_effect import WITHOUT_EFFECT


def check(args: GRPOConfig, tasks: Sequence[Task]) -> None:
    """Refuse what would be ignored or cannot work.

    Raises:
        ValueError: an option without effect, tasks that do not fill a generation batch, or a mode that the loss
            excludes.
        TypeError: tasks of several classes.
    """
    for name, reason in WITHOUT_EFFECT.items():
        value = getattr(args, name)
        if value != _default(name):
            raise ValueError(f"{name}={value!r} has no effect here: {reason}; leave it out")
    classes = sorted({type(task).__name__ for task in tasks})
    if len(classes) > 1:
        raise TypeError(f"tasks of several classes: {', '.join(classes)}; an environment has one")
    if args.max_completion_length is None:
        raise ValueError("max_completion_length=None: give a number of tokens, since it bounds an episode")
    per_batch = (args.generation_batch_size or 0) // (args.num_generations or 1)
    if 0 < len(tasks) < per_batch:
        raise ValueError(
            f"{len(tasks)} tasks, but a generation batch holds {per_batch} different ones (generation_batch_size "
            f"{args.generation_batch_size} / num_generations {args.num_generations}); add tasks or lower "
            "per_device_train_batch_size"
        )
    if args.loss_type == "vespo" and not (correction_of(args) or _PER_TOKEN).mode.startswith("token"):
        raise ValueError(
            f"loss_type='vespo' needs vllm_importance_sampling_mode='token_truncate' or 'token_mask', "
            f"not {args.vllm_importance_sampling_mode!r}"
        )


def correction_of(args: GRPOConfig) -> ImportanceCorrection | None:
    """Return the correction that TRL's `vllm_importance_sampling_*` describe, whatever engine samples.

    Raises:
        ValueError: an unknown mode.
    """
    if not args.vllm_importance_sampling_correction:
        return None
    mode = args.vllm_importance_sampling_mode
    if mode not in get_args(Mode):
        raise ValueError(f"vllm_importance_sampling_mode={mode!r}: there are {', '.join(get_args(Mode))}")
    return ImportanceCorrection(
        mode=cast(Mode, mode),
        lowest=args.vllm_importance_sampling_clip_min,
        highest=args.vllm_importance_sampling_clip_max,
    )


_PER_TOKEN = ImportanceCorrection(mode="token_truncate", lowest=None, highest=None)


def _default(name: str) -> object:
    field = next(field for field in fields(GRPOConfig) if field.name == name)
    return field.default_factory() if field.default_factory is not MISSING else field.default
