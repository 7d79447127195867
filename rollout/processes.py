"""`WorkerHost`: environments in a worker process, which is replaced when it dies or no longer answers.

The worker's own watch stops what is overdue. Only a tool that keeps the interpreter to itself, inside a C function,
stops the watch too: then the process is ended, the episode whose thread was computing ends unscored, and the others
hosted there fail and are played again elsewhere.
"""

import asyncio
import itertools
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium

from envs import EnvSpec, known_envs
from rollout.channel import Frames, frame
from rollout.hosts import EnvError, HostedEnv, settle, value_of
from rollout.seats import GRACE_S, Outcome
from rollout.stage import Operation, Request, job_name
from rollout.worker import BOOTSTRAP, Start

_log = logging.getLogger("toolgym.rollout")

_LOOK_S = 0.25  # how often deadlines and the process itself are looked at
_SILENCE_S = GRACE_S + 0.5  # this long past a deadline the worker would have answered, if it could
_START_S = 60.0
_CLOSE_S = 5.0
_READ_BYTES = 1 << 18


class WorkerHost:
    """Hosts environments in one process at a time, started with the first episode."""

    def __init__(self, spec: EnvSpec) -> None:
        self._spec = spec
        self._keys = itertools.count(1)
        self._process: _Process | None = None

    @property
    def load(self) -> int:
        """Episodes hosted now."""
        return 0 if self._process is None else len(self._process.keys)

    def open(self) -> HostedEnv:
        """Lease an environment for one episode, in a new process if there is none alive."""
        if self._process is None or not self._process.is_alive:
            self._process = _Process(self._spec)
        self._process.attach(asyncio.get_running_loop())
        key = next(self._keys)
        self._process.keys.add(key)
        return HostedEnv(self._process, key)

    async def close(self) -> None:
        """End the process, with a few seconds for its environments to close."""
        if self._process is not None:
            await self._process.close()


@dataclass(slots=True)
class _Waiting:
    """A request without an answer."""

    answer: asyncio.Future[Outcome]
    timeout_s: float
    deadline: float


class _Process:
    """One worker process."""

    def __init__(self, spec: EnvSpec) -> None:
        self.keys: set[int] = set()
        self.is_alive = True
        self._waiting: dict[int, _Waiting] = {}
        self._numbers = itertools.count(1)
        self._frames = Frames()
        self._outbox: list[Request | int] = []
        self._unsent = bytearray(frame(Start(_plain_spec(spec), _entry_points())))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = False
        self._started = time.monotonic()
        self._ticks: dict[str, int] = {}
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        self._life: int | None
        life, self._life = os.pipe()
        # A new interpreter, not a fork: a fork of a process with torch in it carries its locks and its memory.
        self._popen = subprocess.Popen(
            [sys.executable, "-c", BOOTSTRAP, _path(), str(theirs.fileno()), str(life)],
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(), life),
            start_new_session=True,  # Ctrl-C is for the parent, which then closes its workers
        )
        theirs.close()
        os.close(life)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve this event loop from now on."""
        if loop is self._loop:
            return
        if self._loop is not None and not self._loop.is_closed():
            self._detach(self._loop)
        self._loop = loop
        loop.add_reader(self._socket, self._read)
        loop.call_soon(self._flush)
        loop.call_later(_LOOK_S, self._look, loop)

    async def request(self, key: int, operation: Operation, arguments: tuple[Any, ...], timeout_s: float) -> Any:
        """Carry out an operation in the process; see `Operator.request`."""
        if key not in self.keys or self._loop is None:
            raise EnvError("WorkerDied: the process that hosted this episode has ended")
        number = next(self._numbers)
        waiting = _Waiting(self._loop.create_future(), timeout_s, time.monotonic() + timeout_s)
        self._waiting[number] = waiting
        self._send(Request(number, key, operation, arguments, timeout_s))
        try:
            return value_of(await waiting.answer, operation, timeout_s)
        finally:
            self._waiting.pop(number, None)

    def release(self, key: int) -> None:
        """Give up an episode."""
        if key in self.keys:
            self.keys.discard(key)
            self._send(key)

    async def close(self) -> None:
        """End the process, by force if it takes too long."""
        if self.is_alive:
            self._fail("WorkerClosed: the engine was closed")
            await asyncio.to_thread(self._wait, _CLOSE_S)
        self._kill()
        await asyncio.to_thread(self._popen.wait)

    # Sending and receiving

    def _send(self, item: Request | int) -> None:
        if not self._outbox and self._loop is not None:
            self._loop.call_soon(self._flush)  # what this pass of the loop asks goes out in one frame
        self._outbox.append(item)

    def _flush(self) -> None:
        if not self.is_alive or self._loop is None:
            return
        if self._outbox:
            self._unsent += frame(self._outbox)
            self._outbox = []
        with suppress(OSError):  # full, or broken: then `_read` sees the end
            del self._unsent[: self._socket.send(self._unsent)]
        if self._unsent:
            self._loop.add_writer(self._socket, self._flush)
        else:
            self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._wait(0.5)
            self._bury(f"WorkerDied: the worker process ended with exit code {self._popen.returncode}")
            return
        for number, outcome in self._frames.feed(data):
            self._receive(number, outcome)

    def _receive(self, number: int, outcome: Outcome) -> None:
        if number == 0:
            self._begin(outcome)
        elif number in self._waiting:
            settle(self._waiting.pop(number).answer, outcome)
        if outcome.kind == "hung":
            self._bury("WorkerDied: the worker process was ended, for another episode's tool did not stop computing")

    def _begin(self, outcome: Outcome) -> None:
        if outcome.kind != "done":
            self._bury(outcome.value[0])
            return
        self._ready = True
        for waiting in self._waiting.values():
            waiting.deadline = time.monotonic() + waiting.timeout_s

    # Watching and ending

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look after the process, and again as long as it serves this loop."""
        if not self.is_alive or self._loop is not loop:
            return
        loop.call_later(_LOOK_S, self._look, loop)
        now = time.monotonic()
        if self._popen.poll() is not None:
            self._bury(f"WorkerDied: the worker process ended with exit code {self._popen.returncode}")
        elif not self._ready and now - self._started > _START_S:
            self._bury(f"WorkerDied: the worker process was not ready after {_START_S:g} s")
        elif self._ready and any(now > waiting.deadline + _SILENCE_S for waiting in self._waiting.values()):
            self._blame(now)

    def _blame(self, now: float) -> None:
        """End a process that does not answer; the second look in a row tells which thread was computing."""
        before, self._ticks = self._ticks, _job_ticks(self._popen.pid)
        if not before and self._ticks:
            return
        oldest = min(self._waiting, key=lambda number: self._waiting[number].deadline)
        spent = {n: self._ticks.get(job_name(n), 0) - before.get(job_name(n), 0) for n in self._waiting}
        guilty = max(self._waiting, key=lambda number: (spent[number], number == oldest))
        settle(self._waiting.pop(guilty).answer, Outcome("hung"))
        self._bury("WorkerDied: the worker process was ended, for it did not answer")

    def _bury(self, reason: str) -> None:
        self._fail(reason)
        self._kill()
        threading.Thread(target=self._popen.wait, daemon=True).start()  # its end may take a while, and nobody waits
        _log.warning("%s; its episodes are played again", reason)

    def _fail(self, reason: str) -> None:
        """Stop serving, and fail every request under way."""
        self.is_alive = False
        self.keys.clear()
        if self._loop is not None and not self._loop.is_closed():
            self._detach(self._loop)
        self._socket.close()
        for waiting in self._waiting.values():
            if not waiting.answer.get_loop().is_closed():
                settle(waiting.answer, Outcome("failed", (reason, "")))
        self._waiting.clear()

    def _detach(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._socket)
        loop.remove_writer(self._socket)

    def _wait(self, timeout_s: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout_s)

    def _kill(self) -> None:
        if self._life is not None:
            os.close(self._life)
            self._life = None
        if self._popen.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGKILL)


def _plain_spec(spec: EnvSpec) -> EnvSpec:
    return EnvSpec(spec.id, dict(spec.config), dict(spec.sandbox))


def _entry_points() -> dict[str, str]:
    """Return every registration that another process can follow."""
    points = {id: gymnasium.registry[id].entry_point for id in known_envs()}
    return {id: point for id, point in points.items() if isinstance(point, str)}


def _path() -> str:
    return json.dumps([os.path.abspath(folder) for folder in sys.path])


def _job_ticks(pid: int) -> dict[str, int]:
    """Return the user CPU ticks of a process's threads by name; empty where the system does not say."""
    ticks: dict[str, int] = {}
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):
            head, _, fields = stat.read_text().rpartition(")")
            ticks[head.partition("(")[2]] = int(fields.split()[11])  # utime, as proc(5) counts after the name
    return ticks
