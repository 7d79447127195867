"""One run, from the fork of the program to the death of the last of its processes."""

import mmap
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sandboxes.launcher.processes import count_descendants, kill_all
from sandboxes.launcher.program import OUT_OF_MEMORY, READY, Job, become
from sandboxes.launcher.streams import Input, Output

_DRAINED_BYTES = 1 << 24
"""Bytes of output, kept and dropped, after which a run is killed: reading a flood costs as much as writing it."""
_COUNT_EVERY_S = 0.05


class AbandonedError(Exception):
    """The process that owns the sandbox is gone."""


class UndeadError(Exception):
    """Something of the run could not be killed."""


@dataclass
class Host:
    """What the launcher keeps between runs."""

    control: int
    """Descriptor of the control socket; it becomes readable during a run only when the owner is gone."""
    wakeup: int
    """Descriptor that becomes readable when a child has changed its state."""
    settings: Mapping[str, Any]
    null: int = field(default_factory=lambda: os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
    notes: mmap.mmap = field(default_factory=lambda: mmap.mmap(-1, 2))


class Run:
    """One program under watch. Use once: `Run(...).finish()`."""

    def __init__(self, host: Host, argv: list[str], stdin: bytes, timeout_s: float) -> None:
        self._host = host
        self._started = time.monotonic()
        self._end = self._started + timeout_s
        self._status: int | None = None
        self._killed = False
        self._alone = False
        self._poll = select.poll()
        self._poll.register(host.control, select.POLLIN)
        self._poll.register(host.wakeup, select.POLLIN)
        self._fork(argv, stdin, timeout_s)

    def finish(self) -> tuple[dict[str, Any], bytes]:
        """Watch the program to its end, kill what is left, and return the reply's header and body.

        Raises:
            AbandonedError: the owner went away; everything is dead.
            UndeadError: something could not be killed.
        """
        timed_out = False
        try:
            timed_out = self._watch()
        finally:
            seconds = time.monotonic() - self._started
            if not self._alone and not kill_all(self._pid):
                raise UndeadError
            self._drain()
        return self._reply(seconds, timed_out)

    def _fork(self, argv: list[str], stdin: bytes, timeout_s: float) -> None:
        output, error = os.pipe(), os.pipe()
        given = os.pipe() if stdin else (self._host.null, -1)
        notes = self._host.notes
        notes[READY] = notes[OUT_OF_MEMORY] = 0
        job = Job(argv, (given[0], output[1], error[1]), _limits(self._host.settings, timeout_s), notes)
        self._pid = os.fork()
        if self._pid == 0:
            become(job)
        os.close(output[1])
        os.close(error[1])
        cap = self._host.settings["output_bytes"]
        self._outputs = {ends[0]: Output(ends[0], cap) for ends in (output, error)}
        self._open = set(self._outputs)
        for descriptor in self._open:
            self._poll.register(descriptor, select.POLLIN)
        self._input: Input | None = None
        if stdin:
            os.close(given[0])
            self._input = Input(given[1], stdin)
            self._poll.register(given[1], select.POLLOUT)

    def _watch(self) -> bool:
        """Serve the streams until the program has ended; tell whether its time ran out."""
        count_at = self._started + _COUNT_EVERY_S
        while self._status is None:
            now = time.monotonic()
            if now >= self._end:
                return True
            if now >= count_at:
                count_at = now + _COUNT_EVERY_S
                most = self._host.settings["processes"]
                self._killed = self._killed or count_descendants(os.getpid(), at_most=most) > most
            if self._killed or sum(o.total for o in self._outputs.values()) > _DRAINED_BYTES:
                self._killed = True
                return False
            wait_s = min(self._end, count_at) - now
            for descriptor, _ in self._poll.poll(max(1, int(wait_s * 1000) + 1)):
                self._serve(descriptor)
        return False

    def _serve(self, descriptor: int) -> None:
        if descriptor in self._outputs:
            if not self._outputs[descriptor].take():
                self._shut(descriptor)
        elif descriptor == self._host.wakeup:
            os.read(descriptor, 4096)
            self._reap()
        elif descriptor == self._host.control:
            raise AbandonedError
        elif self._input is not None and not self._input.feed():
            self._poll.unregister(descriptor)
            os.close(descriptor)
            self._input = None

    def _reap(self) -> None:
        """Reap what has ended, orphans of the program's included, lest zombies fill the process table."""
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self._pid:
                    self._status = ended[1]
        except ChildProcessError:
            # No child is left, hence no descendant where orphans are ours; elsewhere the group may live on.
            self._alone = sys.platform == "linux"

    def _drain(self) -> None:
        """Take what the pipes still hold, all writers being dead, and close every end."""
        try:
            while self._open and (ready := self._poll.poll(0)):
                ends = [descriptor for descriptor, _ in ready if descriptor in self._open]
                if not ends:
                    break
                for descriptor in ends:
                    if not self._outputs[descriptor].take():
                        self._shut(descriptor)
        finally:
            for descriptor in tuple(self._open):
                self._shut(descriptor)
            if self._input is not None:
                os.close(self._input.descriptor)

    def _shut(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        self._open.discard(descriptor)
        os.close(descriptor)

    def _reply(self, seconds: float, timed_out: bool) -> tuple[dict[str, Any], bytes]:
        if not self._host.notes[READY]:
            return {"error": "the program could not be begun"}, b""
        outputs = list(self._outputs.values())
        ours = timed_out or self._killed
        code = -signal.SIGKILL if self._status is None or ours else os.waitstatus_to_exitcode(self._status)
        header = {
            "exit_code": code,
            "seconds": seconds,
            "timed_out": timed_out,
            "truncated": any(output.truncated for output in outputs),
            # A SIGKILL that is not ours comes from the kernel, for want of memory.
            "oom": bool(self._host.notes[OUT_OF_MEMORY]) or (code == -signal.SIGKILL and not ours),
            "stdout_bytes": len(outputs[0].kept),
        }
        return header, outputs[0].kept + outputs[1].kept


def _limits(settings: Mapping[str, Any], timeout_s: float) -> list[tuple[int, int]]:
    """Return the resource limits of one run. CPU seconds stand behind the wall clock, should the launcher die."""
    return [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, int(timeout_s) + 2),
        (resource.RLIMIT_FSIZE, settings["file_mb"] << 20),
        (resource.RLIMIT_AS, settings["memory_mb"] << 20),
    ]
