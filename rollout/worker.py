"""The worker process: hosts environments for its parent, and ends with it.

The parent's first frame is a `Start`; then lists of `Request`, or of an episode's key to release. The worker answers
the start with its readiness, `(0, Outcome)`, and each request with `(number, Outcome)`, from whichever thread has it.
"""

import contextlib
import fcntl
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from envs import EnvSpec, register
from rollout.channel import Frames, frame
from rollout.seats import Outcome
from rollout.stage import WATCH_S, Request, Stage
from sandboxes import close_pools

BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1])\n"
    "from rollout.worker import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)
"""What the parent runs with `python -c`: its own `sys.path` as JSON, the socket, the pipe that ends with the parent."""

# A tool that computes without end gives way to the other episodes of its process this often. Each thread that wants the
# interpreter also wakes this often to ask again: a thousand of them would do nothing else, hence the second number.
_SWITCH_S, _SWITCH_S_EACH = 0.0005, 0.000002
_MOST_ABANDONED = 256  # threads left waiting; with more the process ends, and its episodes go on in a new one
_READ_BYTES = 1 << 18
_AT_ONCE, _PAUSE_S = 4, 0.0002  # a crowd of threads that all want the interpreter spends more on waiting than on work


class Start(NamedTuple):
    """What a worker is told first."""

    spec: EnvSpec
    entry_points: Mapping[str, str]
    """The parent's registrations by id: those that its own code made are unknown here."""


def main(channel: int, life: int) -> None:
    """Run the worker on the file descriptors of its socket and of the pipe that ends with the parent."""
    for descriptor in (channel, life):
        os.set_inheritable(descriptor, False)
    _end_with(life)
    os.dup2(2, 1)  # what a tool prints is for the person at the terminal, never part of the parent's own output
    serve(socket.socket(fileno=channel))
    close_pools()
    sys.stderr.flush()
    os._exit(0)  # threads that were left behind must not hold up the end


def serve(channel: socket.socket) -> None:
    """Host environments until the parent closes its end."""
    frames, sender = Frames(), _Sender(channel)
    stage: Stage | None = None
    while data := channel.recv(_READ_BYTES):
        for content in frames.feed(data):
            if isinstance(content, Start):
                stage = _open_stage(content, sender)
            elif stage is not None:
                _take(stage, content, sender)
                sys.setswitchinterval(max(_SWITCH_S, _SWITCH_S_EACH * stage.running))
        while stage is not None and stage.busy and not _readable(channel):
            stage.watch()
        if stage is None or stage.abandoned > _MOST_ABANDONED:
            break
    if stage is not None:
        stage.close()


def _open_stage(start: Start, sender: "_Sender") -> Stage | None:
    try:
        for id, entry_point in start.entry_points.items():
            register(id=id, entry_point=entry_point)
        stage = Stage(start.spec)
    except Exception as error:  # whatever the author's module raises, the parent says it
        sender.send(0, Outcome("failed", (f"{type(error).__name__}: {error}", traceback.format_exc())))
        return None
    sender.send(0, Outcome("done"))
    return stage


def _take(stage: Stage, requests: list[Request | int], sender: "_Sender") -> None:
    for begun, request in enumerate(requests, 1):
        if isinstance(request, int):
            stage.release(request)
        else:
            stage.submit(request, partial(sender.send, request.number))
        if begun % _AT_ONCE == 0:
            time.sleep(_PAUSE_S)


def _readable(channel: socket.socket) -> bool:
    return bool(select.select([channel], [], [], WATCH_S)[0])


class _Sender:
    """Sends outcomes from any thread, each frame in one piece."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._lock = threading.Lock()

    def send(self, number: int, outcome: Outcome) -> None:
        data = _outcome_frame(number, outcome)
        with self._lock, contextlib.suppress(OSError):  # without a parent there is nobody to answer
            self._channel.sendall(data)


def _outcome_frame(number: int, outcome: Outcome) -> bytes:
    try:
        return frame((number, outcome))
    except Exception as error:  # what an environment returned may be anything
        text = f"{type(error).__name__}: the environment's result cannot leave its process: {error}"
        return frame((number, Outcome("failed", (text, traceback.format_exc()))))


def _end_with(life: int) -> None:
    """Have the operating system end this process with its parent, even while some tool holds the interpreter.

    Nobody ever writes to the pipe: SIGIO comes when its other end closes, and its default action ends the process.
    Where that is not so (macOS ignores SIGIO by default) the end of the socket is noticed as soon as Python runs.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)
