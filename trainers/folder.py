"""The folder of a run: what lies where, and who may write into it."""

import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from rollout.cli import merge, read_config
from sandboxes.errors import UsageError
from trainers.config import TrainConfig

MIN_FREE_BYTES = 100 << 20
"""A run is not begun with less room than this; a run of the embedded model writes about half of it."""

_FULL_BYTES = 8 << 20  # less than the smallest checkpoint needs
_FIXED = ("env", "sandbox", "model", "seed", "eval", "peft")


class RunFolder:
    """`runs/<name>/`. Made by `open`; afterwards everything of the run is written below `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.json"
        self.metrics = path / "metrics.jsonl"
        self.summary = path / "summary.json"
        self.curve = path / "learning_curve.png"
        self.log = path / "run.log"
        self.checkpoints = path / "checkpoints"
        self.final = path / "final"
        self.trajectories = path / "trajectories"

    @classmethod
    def open(cls, config: TrainConfig) -> "RunFolder":
        """Make the folder, or take up an existing one if `config.resume`, and save the configuration in it.

        Raises:
            UsageError: the folder holds something already, cannot be written, or has nothing to resume.
        """
        path = Path(config.out) if config.out else _next_free(config.env_name)
        _check_contents(path, config)
        folder = cls(path)
        try:
            folder.trajectories.mkdir(parents=True, exist_ok=True)
            saved = {**config.model_dump(mode="json"), "out": str(path), "resume": False}
            folder.config.write_text(json.dumps(saved, indent=2) + "\n", encoding="utf-8")
            free = shutil.disk_usage(path).free
        except OSError as error:
            raise UsageError(f"out={path}: cannot be written: {error.strerror or error}") from error
        if free < MIN_FREE_BYTES:
            raise UsageError(f"out={path}: only {free >> 20} MB are free there, a run needs {MIN_FREE_BYTES >> 20} MB")
        return folder

    def discard_if_unused(self) -> None:
        """Take away what `open` made if no episode was played: a run that was refused may be tried again at once."""
        if any(self.trajectories.rglob("*.jsonl")):
            return
        for path in (self.config, self.log):
            path.unlink(missing_ok=True)
        for path in (self.trajectories, self.checkpoints, self.path):
            if path.exists() and not any(path.iterdir()):
                path.rmdir()

    def evaluation_records(self, name: str, kind: str) -> Path:
        """Return the file of the episodes of one evaluation: `before` or `after`, `greedy` or `sampled`."""
        return self.trajectories / f"{name}-{kind}.jsonl"

    def step_records(self, step: int) -> Path:
        """Return the file of the episodes that an optimiser step played, counted from 1."""
        return self.trajectories / "train" / f"step-{step:05}.jsonl"

    def rewind(self, step: int) -> None:
        """Drop what a resumed run does again: metrics and episodes of steps after `step`, the evaluation at the end."""
        rows = [row for row in read_lines(self.metrics) if row["step"] <= step]
        write_whole(self.metrics, "".join(json.dumps(row) + "\n" for row in rows))
        for path in self.trajectories.glob("after-*.jsonl"):
            path.unlink()
        for path in self.trajectories.glob("train/step-*.jsonl"):
            if int(path.stem.removeprefix("step-")) > step:
                path.unlink()

    def files(self) -> list[Path]:
        """Return what there is for a person to look at, in order of interest."""
        known = (self.summary, self.curve, self.metrics, self.trajectories, self.final, self.checkpoints)
        return [path for path in (*known, self.config, self.log) if path.exists()]


def append_line(path: Path, row: Mapping[str, Any]) -> None:
    """Append one JSON line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a JSON-lines file; nothing if there is none. A last line that was cut short is left out."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader finds the old text or the new, never half of it."""
    partial = path.with_suffix(path.suffix + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def disk_trouble(error: Exception, folder: Path) -> str | None:
    """Return what to say if an exception means that `folder` can no longer be written, else None.

    torch and safetensors hide the system's error in one of their own, so those are believed if the disk is full.
    """
    if isinstance(error, OSError):
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            return None
        return f"{error.filename or folder}: {error.strerror}; what was written before is kept"
    if shutil.disk_usage(folder).free >= _FULL_BYTES:
        return None
    return f"{folder}: {os.strerror(errno.ENOSPC)}; what was written before is kept"


def resumed(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the data of a line laid on top of the configuration of the run that it resumes, if it resumes one.

    Raises:
        UsageError: there is nothing to resume, or the line changes what must stay.
    """
    if data.get("resume") is not True:
        return data
    out = data.get("out")
    if not isinstance(out, str) or not out:
        raise UsageError("resume=true: say which run goes on, as in out=runs/code_exec-1")
    earlier = read_config(Path(out) / "config.json", f"out={out}: no run to resume: config.json")
    merged: dict[str, Any] = merge(earlier, data)
    return merged


def check_unchanged(config: TrainConfig, earlier: Mapping[str, Any]) -> None:
    """Check that a resumed run keeps what its figures depend on.

    Raises:
        UsageError: an option was changed that must stay.
    """
    now = config.model_dump(mode="json")
    for name in _FIXED:
        if now[name] != earlier.get(name):
            raise UsageError(
                f"resume=true: {name} is {_short(now[name])} on the line but {_short(earlier.get(name))} in the run; "
                "leave it out, or begin another run"
            )


def _check_contents(path: Path, config: TrainConfig) -> None:
    try:
        occupied = path.exists() and (not path.is_dir() or any(path.iterdir()))
    except OSError as error:
        raise UsageError(f"out={path}: cannot be read: {error.strerror or error}") from error
    if config.resume:
        check_unchanged(config, read_config(path / "config.json", f"out={path}: no run to resume: config.json"))
    elif occupied and not path.is_dir():
        raise UsageError(f"out={path}: is a file, not a folder")
    elif occupied:
        raise UsageError(f"out={path}: is not empty; name another folder, or go on with resume=true")


def _next_free(name: str, root: Path = Path("runs")) -> Path:
    candidates: Iterable[Path] = (root / f"{name}-{number}" for number in count(1))
    return next(path for path in candidates if not path.exists())


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
