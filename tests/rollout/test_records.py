"""Records: what was played comes back the same, and nothing written is lost."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import Message, ToolCall
from rollout.records import SCHEMA, RecordWriter, read_records
from rollout.trajectory import StopReason, Trajectory, Turn
from sandboxes import UsageError

words = st.text(st.characters(codec="utf-8"), max_size=12)
ids = st.lists(st.integers(0, 200_000), max_size=6).map(tuple)
numbers = st.floats(allow_nan=False, allow_infinity=False)
calls = st.lists(st.builds(ToolCall, name=words, arguments=words, id=words, error=st.none() | words), max_size=2)
actions = st.builds(lambda text, made: Message.assistant(text, *made), words, calls)
observations = st.lists(
    st.builds(Message, role=st.just("tool"), content=words, tool_call_id=st.none() | words, name=st.none() | words),
    max_size=2,
).map(tuple)
data = st.dictionaries(words, st.none() | words | numbers | st.lists(st.integers(), max_size=3), max_size=3)


@st.composite
def turns(draw: st.DrawFn) -> tuple[Turn, ...]:
    made: list[Turn] = []
    for _ in range(draw(st.integers(0, 3))):
        before = made[-1].prompt_ids + made[-1].completion_ids if made else ()
        kept = before[: draw(st.integers(0, len(before)) | st.just(len(before)))]
        sampled = draw(ids)
        made.append(
            Turn(
                action=draw(actions),
                observation=draw(observations),
                prompt_ids=kept + draw(ids),
                completion_ids=sampled,
                logprobs=tuple(draw(numbers) for _ in sampled),
                reward=draw(numbers),
                tool_calls=draw(st.integers(0, 3)),
                tool_errors=tuple(draw(st.lists(st.sampled_from(["unreadable", "bad_arguments"]), max_size=2))),
                agent_s=draw(numbers),
                env_s=draw(numbers),
            )
        )
    return tuple(made)


trajectories = st.builds(
    Trajectory,
    env=words,
    task_id=words,
    task=data,
    sample=st.integers(0, 99),
    seed=st.integers(0, 2**63 - 1),
    opening=observations,
    turns=turns(),
    stop=st.sampled_from(StopReason),
    reward=st.none() | numbers,
    scores=st.dictionaries(words, numbers, max_size=2),
    success=st.booleans(),
    facts=data,
    error=st.none() | words.filter(bool),
    attempts=st.integers(1, 3),
    seconds=numbers,
)

ONE = Trajectory(
    "e",
    "t",
    {"id": "t"},
    0,
    1,
    (Message.user("p"),),
    (
        Turn(Message.assistant("a", ToolCall(name="n")), (), (1, 2, 3), (4,), (-0.5,)),
        Turn(Message.assistant("b"), (), (1, 2, 3, 4, 5), (6,), (-0.5,)),
    ),
    StopReason.ANSWERED,
    1.0,
    {"right": 1.0},
)


@settings(max_examples=50, deadline=None)
@given(played=st.lists(trajectories, max_size=3))
def test_what_is_read_equals_what_was_written(
    played: list[Trajectory], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("records") / "runs" / "train.jsonl"
    with RecordWriter(path) as writer:
        for trajectory in played:
            writer.write(trajectory)
    assert list(read_records(path)) == played


def test_token_ids_are_stored_once(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "r.jsonl") as writer:
        writer.write(ONE)
    line = json.loads((tmp_path / "r.jsonl").read_text())
    assert line["schema"] == SCHEMA
    assert [(turn["kept"], turn["added"], turn["sampled"]) for turn in line["turns"]] == [
        (0, [1, 2, 3], [4]),
        (4, [5], [6]),
    ]


def test_each_line_can_be_read_as_soon_as_it_is_written(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "r.jsonl") as writer:
        for count in range(1, 4):
            writer.write(ONE)
            assert len(list(read_records(tmp_path / "r.jsonl"))) == count


def test_a_half_written_last_line_is_skipped_with_a_warning_and_cut_before_the_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "r.jsonl"
    with RecordWriter(path) as writer:
        writer.write(ONE)
        writer.write(ONE)
    os.truncate(path, path.stat().st_size - 10)
    with caplog.at_level(logging.WARNING, "toolgym.rollout"):
        assert list(read_records(path)) == [ONE]
        assert "r.jsonl:2: half-written last line skipped" in caplog.text
        with RecordWriter(path) as writer:
            writer.write(ONE)
        assert "cut off" in caplog.text
    assert list(read_records(path)) == [ONE, ONE]


def test_text_that_has_no_utf_8_survives(tmp_path: Path) -> None:
    odd = Trajectory("e", "\ud800", {"text": "\udfff"}, 0, 1, (), (), StopReason.FAILED, None, error="E: \ud800")
    with RecordWriter(tmp_path / "r.jsonl") as writer:
        writer.write(odd)
    assert list(read_records(tmp_path / "r.jsonl")) == [odd]


@pytest.mark.parametrize("line", ["no json", "[]", '{"schema": 2}', "{}"])
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ValueError, match=r"r\.jsonl:1: no record of schema 1"):
        list(read_records(path))


def test_a_path_that_cannot_be_written_is_said_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot write records to .*file.r\.jsonl: File exists"):
        RecordWriter(tmp_path / "file" / "r.jsonl")
    with pytest.raises(UsageError, match=r"cannot write records to .*: Is a directory"):
        RecordWriter(tmp_path)


FULL = """
import resource, signal, sys
from rollout.records import RecordWriter
from tests.rollout.test_records import ONE
writer = RecordWriter(sys.argv[1])
writer.write(ONE)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    writer.write(ONE)
except OSError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer.write(ONE)
"""


def test_a_write_that_does_not_fit_is_an_error_and_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with RecordWriter(tmp_path / "size.jsonl") as writer:
        writer.write(ONE)
    room = (tmp_path / "size.jsonl").stat().st_size * 3 // 2
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    # In a process of its own: the limit on file sizes, which stands for a full disk, holds for all of a process.
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path), str(room)], env=environment, capture_output=True, text=True, check=True
    )
    assert "cannot write records: File too large" in done.stdout
    assert "r.jsonl" in done.stdout
    assert list(read_records(path)) == [ONE, ONE]


def test_columns_keep_their_types_whatever_an_episode_holds(tmp_path: Path) -> None:
    failed = Trajectory("e", "t", {"id": "t", "x": [1]}, 0, 1, (), (), StopReason.FAILED, None, error="E: m")
    path = tmp_path / "r.jsonl"
    with RecordWriter(path) as writer:
        for trajectory in (ONE, failed):
            writer.write(trajectory)
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first.keys() == second.keys()
    changing = {key for key in first if type(first[key]) is not type(second[key])}
    assert changing == {"reward"}  # a number or null, which is a number column
