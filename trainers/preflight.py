"""What can be said about a configuration before torch is imported: the model's place, and the sizes of groups."""

from agents.model_names import check_model_name
from sandboxes.backends import describe
from sandboxes.errors import UsageError
from trainers.config import TrainConfig
from trainers.defaults import episodes_per_batch


def check_before_import(config: TrainConfig) -> None:
    """Check what needs neither torch nor the network.

    Raises:
        UsageError: a model or a sandbox that is not there, or groups that do not fit the batch.
    """
    check_model_name(config.model)
    describe(config.sandbox.model_dump())
    check_groups(config)


def check_groups(config: TrainConfig) -> None:
    """Check that the episodes of a batch make whole groups of two or more.

    Raises:
        UsageError: they do not; says which sizes would do.
    """
    episodes, group = episodes_per_batch(config)
    if group < 2:
        raise UsageError(
            f"trl.num_generations={group}: GRPO compares the episodes of one task with one another, so a group needs 2"
        )
    if episodes % group:
        below, above = episodes // group * group, (episodes // group + 1) * group
        sizes = f"{below} or {above}" if below else f"{above}"
        raise UsageError(
            f"{episodes} episodes a batch are no whole number of groups of trl.num_generations={group}: "
            f"make trl.per_device_train_batch_size {sizes} in all, or change the group"
        )
