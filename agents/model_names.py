"""The names that a model may have: the embedded one, a folder, or a name on the Hugging Face hub.

What can be said without torch and without a download is said here, before either is tried.
"""

import difflib
import os
import re
from pathlib import Path

from sandboxes.errors import UsageError

EMBEDDED = "embedded"
"""The name of the model that ships with the package."""


def check_model_name(name: str) -> None:
    """Check that a model is the embedded one, a folder with a model in it, or could be a name on the hub.

    Raises:
        UsageError: it is none of these; nothing was downloaded to find out.
    """
    if name == EMBEDDED:
        return
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").exists():
            raise UsageError(f"model={name}: the folder holds no config.json, so no model was saved there")
    elif path.exists():
        raise UsageError(f"model={name}: is a file; give the folder that the model was saved in")
    elif _looks_like_path(name):
        raise UsageError(f"model={name}: there is no such folder{_nearest_folder(path)}")
    elif difflib.get_close_matches(name, [EMBEDDED], cutoff=0.8):
        raise UsageError(f"model={name}: did you mean {EMBEDDED!r}?")
    elif not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        raise UsageError(f"model={name}: neither a folder nor a hub name, as in Qwen/Qwen3-0.6B")


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
