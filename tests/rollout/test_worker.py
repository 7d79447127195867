"""The worker's side of the channel, served in a thread of the test."""

import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from envs import EnvSpec, Message
from rollout.channel import Frames, frame
from rollout.seats import Outcome
from rollout.stage import Request
from rollout.worker import Start, serve
from tests.rollout.gym_envs import Count, call, spec

TASK = Count(id="t", prompt="Say 3.").model_dump(mode="json")


@dataclass
class Line:
    """The parent's end of the channel."""

    channel: socket.socket
    thread: threading.Thread
    frames: Frames = field(default_factory=Frames)
    received: list[Any] = field(default_factory=list)

    def send(self, content: object) -> None:
        self.channel.sendall(frame(content))

    def answer(self) -> tuple[int, Outcome]:
        while not self.received:
            self.received.extend(self.frames.feed(self.channel.recv(1 << 16)))
        number, outcome = self.received.pop(0)
        return number, outcome


@pytest.fixture
def line() -> Iterator[Line]:
    interval = sys.getswitchinterval()
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=serve, args=(theirs,))
    thread.start()
    yield Line(ours, thread)
    ours.close()
    thread.join(20.0)
    theirs.close()
    sys.setswitchinterval(interval)  # a worker sets it for its whole process, which here is the test's
    assert not thread.is_alive()


def test_a_worker_says_when_it_is_ready_and_answers_each_request_by_its_number(line: Line) -> None:
    line.send(Start(spec(), {"Lab-v0": "tests.rollout.gym_envs:LabEnv"}))
    assert line.answer() == (0, Outcome("done"))
    line.send([Request(7, 1, "reset", (TASK, 0), 5.0)])
    number, outcome = line.answer()
    assert (number, outcome.kind, outcome.value[1]) == (7, "done", Message.user("Say 3."))
    line.send([Request(8, 1, "step", (Message.assistant("3"),), 5.0)])
    number, outcome = line.answer()
    assert (number, outcome.value[1], outcome.value[4]["scores"]) == (8, 1.0, {"right": 1.0})


def test_an_episode_that_was_never_reset_is_a_failure(line: Line) -> None:
    line.send(Start(spec(), {}))
    line.send([Request(1, 1, "truncate", (), 5.0)])
    line.answer()
    number, outcome = line.answer()
    assert (number, outcome.kind) == (1, "failed")
    assert outcome.value[0] == "RuntimeError: no episode here: it was never reset"


def test_a_released_episode_is_interrupted_and_its_place_used_again_only_when_regular(line: Line) -> None:
    line.send(Start(spec(), {}))
    line.answer()
    line.send([Request(1, 1, "reset", (TASK, 0), 5.0)])
    line.answer()
    line.send([Request(2, 1, "step", (call("spin"),), 60.0)])
    line.send([1, 99])
    number, outcome = line.answer()
    assert (number, outcome.kind) == (2, "overdue")


def test_a_result_that_cannot_be_pickled_is_a_failure_in_words(line: Line) -> None:
    line.send(Start(spec("Odd"), {"Odd-v0": "tests.rollout.gym_envs:OddEnv"}))
    line.answer()
    line.send([Request(1, 1, "reset", (TASK, 0), 5.0)])
    _, outcome = line.answer()
    assert outcome.kind == "failed"
    assert "cannot leave its process" in outcome.value[0]


@pytest.mark.parametrize(
    ("id", "words"), [("nothing.there:Lab-v0", "no module 'nothing.there'"), ("Lap-v0", "no environment")]
)
def test_an_environment_that_cannot_be_imported_is_said_and_ends_the_worker(line: Line, id: str, words: str) -> None:
    line.send(Start(EnvSpec(id), {}))
    number, outcome = line.answer()
    assert (number, outcome.kind) == (0, "failed")
    assert words in outcome.value[0]


def test_frames_come_whole_however_the_bytes_arrive() -> None:
    contents = [[1, 2], "x" * 1000, {"a": None}]
    data = b"".join(frame(content) for content in contents)
    for size in (1, 7, 100_000):
        frames = Frames()
        pieces = (data[start : start + size] for start in range(0, len(data), size))
        assert [content for piece in pieces for content in frames.feed(piece)] == contents
