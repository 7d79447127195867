"""Records: every trajectory as one line of JSON, so that nothing written is lost when a run is killed.

Token ids are stored once: a turn holds how many of the ids before it (the last turn's prompt and completion) its prompt
keeps, then the new ones. Tasks and facts are JSON text, an absent error is "" and kinds of tool errors are one text, so
that every column keeps its type from line to line and `datasets.load_dataset("json")` reads the file.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from envs import Message, Observation
from rollout.trajectory import StopReason, Trajectory, Turn
from sandboxes import UsageError

SCHEMA = 1
"""Raised by 1 whenever a line's meaning changes."""

_log = logging.getLogger("toolgym.rollout")


class RecordWriter:
    """Appends trajectories to a file, which it makes with its folders; a half-written last line is cut off first.

    Each line is with the operating system when `write` returns. Not thread-safe; one writer a file.

    Raises:
        UsageError: the file cannot be opened for writing.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab", buffering=0)
            self._end = _cut_to_whole_lines(self.path)
        except OSError as error:
            raise UsageError(f"cannot write records to {self.path}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, trajectory: Trajectory) -> None:
        """Append one line.

        Raises:
            OSError: it could not be written whole (a full disk, say); the lines before are untouched.
        """
        # A lone surrogate has no UTF-8; the escape that this writes instead is its JSON.
        line = json.dumps(_packed(trajectory), ensure_ascii=False, separators=(",", ":"))
        self._append(line.encode("utf-8", "backslashreplace") + b"\n")

    def close(self) -> None:
        """Close the file. Closing twice is allowed."""
        self._file.close()

    def _append(self, data: bytes) -> None:
        try:
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self._file.truncate(self._end)
            raise OSError(error.errno, f"cannot write records: {error.strerror}", str(self.path)) from error
        self._end += len(data)


def read_records(path: str | os.PathLike[str]) -> Iterator[Trajectory]:
    """Yield the trajectories of a file in the order written; a half-written last line is skipped with a warning.

    Raises:
        ValueError: another line is no record, or of a schema that this version does not read.
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                _log.warning("%s:%d: half-written last line skipped", path, number)
                return
            try:
                yield _unpacked(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}:{number}: no record of schema {SCHEMA}: {error!r}") from error


def _cut_to_whole_lines(path: Path) -> int:
    """Cut a half-written last line off and return the file's size."""
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    if end < len(data):
        _log.warning("%s: half-written last line of %d bytes cut off", path, len(data) - end)
        os.truncate(path, end)
    return end


def _packed(trajectory: Trajectory) -> dict[str, Any]:
    turns: list[dict[str, Any]] = []
    before: tuple[int, ...] = ()
    for turn in trajectory.turns:
        turns.append(_packed_turn(turn, before))
        before = turn.prompt_ids + turn.completion_ids
    return {
        "schema": SCHEMA,
        "env": trajectory.env,
        "task_id": trajectory.task_id,
        "task": json.dumps(dict(trajectory.task)),
        "sample": trajectory.sample,
        "seed": trajectory.seed,
        "stop": trajectory.stop.value,
        "reward": trajectory.reward,
        "success": trajectory.success,
        "scores": dict(trajectory.scores),
        "facts": json.dumps(dict(trajectory.facts)),
        "error": trajectory.error or "",
        "attempts": trajectory.attempts,
        "seconds": trajectory.seconds,
        "opening": _packed_messages(trajectory.opening),
        "turns": turns,
    }


def _packed_turn(turn: Turn, before: tuple[int, ...]) -> dict[str, Any]:
    kept = _shared(before, turn.prompt_ids)
    return {
        "action": turn.action.model_dump(),
        "observation": _packed_messages(turn.observation),
        "kept": kept,
        "added": turn.prompt_ids[kept:],
        "sampled": turn.completion_ids,
        "logprobs": turn.logprobs,
        "reward": turn.reward,
        "tool_calls": turn.tool_calls,
        "tool_errors": " ".join(turn.tool_errors),
        "agent_s": turn.agent_s,
        "env_s": turn.env_s,
    }


def _packed_messages(messages: Observation) -> list[dict[str, Any]]:
    return [message.model_dump() for message in messages]


def _shared(before: tuple[int, ...], ids: tuple[int, ...]) -> int:
    """Return how many ids both begin with."""
    if ids[: len(before)] == before:
        return len(before)
    pairs = zip(before, ids, strict=False)
    return next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(before), len(ids)))


def _unpacked(line: Mapping[str, Any]) -> Trajectory:
    if line["schema"] != SCHEMA:
        raise ValueError(f"schema {line['schema']}")
    turns: list[Turn] = []
    for packed in line["turns"]:
        turns.append(_unpacked_turn(packed, turns[-1].prompt_ids + turns[-1].completion_ids if turns else ()))
    return Trajectory(
        env=line["env"],
        task_id=line["task_id"],
        task=json.loads(line["task"]),
        sample=line["sample"],
        seed=line["seed"],
        opening=_unpacked_messages(line["opening"]),
        turns=tuple(turns),
        stop=StopReason(line["stop"]),
        reward=line["reward"],
        scores=line["scores"],
        success=line["success"],
        facts=json.loads(line["facts"]),
        error=line["error"] or None,
        attempts=line["attempts"],
        seconds=line["seconds"],
    )


def _unpacked_turn(packed: Mapping[str, Any], before: tuple[int, ...]) -> Turn:
    return Turn(
        action=Message.model_validate(packed["action"]),
        observation=_unpacked_messages(packed["observation"]),
        prompt_ids=(*before[: packed["kept"]], *packed["added"]),
        completion_ids=tuple(packed["sampled"]),
        logprobs=tuple(packed["logprobs"]),
        reward=packed["reward"],
        tool_calls=packed["tool_calls"],
        tool_errors=tuple(packed["tool_errors"].split()),
        agent_s=packed["agent_s"],
        env_s=packed["env_s"],
    )


def _unpacked_messages(packed: list[dict[str, Any]]) -> Observation:
    return tuple(Message.model_validate(message) for message in packed)
