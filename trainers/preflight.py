"""What can be said about a configuration before torch is imported: the model's place, and the sizes of groups."""

import difflib
import os
import re
from pathlib import Path

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


def check_model_name(name: str) -> None:
    """Check that a model is the embedded one, a folder with a model in it, or could be a name on the hub.

    Raises:
        UsageError: it is none of these; nothing was downloaded to find out.
    """
    if name == "embedded":
        return
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").exists():
            raise UsageError(f"model={name}: the folder holds no config.json, so no model was saved there")
    elif path.exists():
        raise UsageError(f"model={name}: is a file; give the folder that the model was saved in")
    elif _looks_like_path(name):
        raise UsageError(f"model={name}: there is no such folder{_nearest_folder(path)}")
    elif difflib.get_close_matches(name, ["embedded"], cutoff=0.8):
        raise UsageError(f"model={name}: did you mean 'embedded'?")
    elif not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        raise UsageError(f"model={name}: neither a folder nor a hub name, as in Qwen/Qwen3-0.6B")


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


def _looks_like_path(name: str) -> bool:
    """A name on the hub has one slash at most, and what stands before it is no folder here."""
    return (
        name.startswith((".", "~", os.sep))
        or name.endswith(os.sep)
        or name.count(os.sep) > 1
        or (os.sep in name and Path(name).parent.is_dir())
    )


def _nearest_folder(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    names = [entry.name for entry in path.parent.iterdir() if entry.is_dir()]
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {str(path.parent / near[0])!r}?" if near else ""
