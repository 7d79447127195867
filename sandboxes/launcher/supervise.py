"""One run, from the fork of the program to the death of the last of its processes.

Every page that launcher or program write to after the fork is copied or faulted in anew; that is most of what a run
costs. Hence few objects, and none of the machinery of signals and selectors, on the way of a short run.
"""

import mmap
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from sandboxes.launcher.processes import count_descendants, kill_all
from sandboxes.launcher.program import OUT_OF_MEMORY, READY, become
from sandboxes.launcher.streams import Input, Output

_SHORT_MS = 3
"""What ends within this time is read once, after its end; only for longer runs the streams are served meanwhile."""
_DRAINED_BYTES = 1 << 24
"""Bytes of output, kept and dropped, after which a run is killed: reading a flood costs as much as writing it."""
_COUNT_EVERY_S = 0.05
_ASK_EVERY_S = 0.005
_HAS_PIDFD = hasattr(os, "pidfd_open")


class AbandonedError(Exception):
    """The process that owns the sandbox is gone."""


class UndeadError(Exception):
    """Something of the run could not be killed."""


class Host(NamedTuple):
    """What the launcher keeps between runs. (No dataclass: that module would make every fork slower.)"""

    control: int
    """Descriptor of the control socket; it becomes readable during a run only when the owner is gone."""
    null: int
    """Descriptor of the null device."""
    notes: mmap.mmap
    """Memory shared with the program."""
    limits: Sequence[tuple[int, int]]
    """Resource limits of every program."""
    output_bytes: int
    processes: int


class Run:
    """One program under watch. Use once: construct, `finish`, then read what it gave."""

    def __init__(self, host: Host, argv: list[str], stdin: bytes, timeout_s: float) -> None:
        self.timed_out = False
        self.seconds = 0.0
        self._host = host
        self._status: int | None = None
        self._killed = False
        self._started = time.monotonic()
        self._end = self._started + timeout_s
        self._fork(argv, stdin, timeout_s)

    def finish(self) -> None:
        """Watch the program to its end and kill what is left.

        Raises:
            AbandonedError: the owner went away; everything is dead.
            UndeadError: something could not be killed.
        """
        try:
            if self._input is not None or not self._was_short():
                self._watch()
        finally:
            self.seconds = time.monotonic() - self._started
            self._clear_up()

    @property
    def began(self) -> bool:
        """Whether the program was begun: else the sandbox failed."""
        return bool(self._host.notes[READY])

    @property
    def exit_code(self) -> int:
        """The exit status, or minus the signal's number."""
        if self._status is None or self.timed_out or self._killed:
            return -signal.SIGKILL
        return os.waitstatus_to_exitcode(self._status)

    @property
    def oom(self) -> bool:
        """Whether it ended for want of memory: by its own words, or by a SIGKILL that is not ours but the kernel's."""
        ours = self.timed_out or self._killed
        return bool(self._host.notes[OUT_OF_MEMORY]) or (self.exit_code == -signal.SIGKILL and not ours)

    def _fork(self, argv: list[str], stdin: bytes, timeout_s: float) -> None:
        host = self._host
        out, err = os.pipe(), os.pipe()
        given = os.pipe() if stdin else (host.null, -1)
        host.notes[READY] = host.notes[OUT_OF_MEMORY] = 0
        self._pid = os.fork()
        if self._pid == 0:
            become(argv, (given[0], out[1], err[1]), host.limits, timeout_s, host.notes)
        os.close(out[1])
        os.close(err[1])
        self._pidfd = os.pidfd_open(self._pid) if _HAS_PIDFD else -1
        self.stdout, self.stderr = Output(out[0], host.output_bytes), Output(err[0], host.output_bytes)
        self._input: Input | None = None
        if stdin:
            os.close(given[0])
            self._input = Input(given[1], stdin)

    def _was_short(self) -> bool:
        """Wait a moment for the end; tell whether it came."""
        if not _HAS_PIDFD:
            return False
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(_SHORT_MS)) and self._ended()

    def _watch(self) -> None:
        """Serve the streams until the program has ended or must be killed."""
        poll = self._register()
        count_at = self._started + _COUNT_EVERY_S
        while not self._ended():
            now = time.monotonic()
            if now >= count_at:
                count_at = now + _COUNT_EVERY_S
                self._look_after_tree()
            flooded = self.stdout.total + self.stderr.total > _DRAINED_BYTES
            self.timed_out = now >= self._end
            self._killed = self._killed or flooded
            if self.timed_out or self._killed:
                return
            wait_s = min(self._end, count_at) - now
            if not _HAS_PIDFD:
                wait_s = min(wait_s, _ASK_EVERY_S)
            for descriptor, _ in poll.poll(int(wait_s * 1000) + 1):
                self._serve(descriptor, poll)

    def _register(self) -> "select.poll":
        poll = select.poll()
        for descriptor in (self._host.control, self.stdout.descriptor, self.stderr.descriptor):
            poll.register(descriptor, select.POLLIN)
        if _HAS_PIDFD:
            poll.register(self._pidfd, select.POLLIN)
        if self._input is not None:
            poll.register(self._input.descriptor, select.POLLOUT)
        return poll

    def _serve(self, descriptor: int, poll: "select.poll") -> None:
        if descriptor == self._host.control:
            raise AbandonedError
        for output in (self.stdout, self.stderr):
            if descriptor == output.descriptor and not output.take():
                poll.unregister(descriptor)
        if self._input is not None and descriptor == self._input.descriptor and not self._input.feed():
            poll.unregister(descriptor)
            os.close(descriptor)
            self._input = None

    def _ended(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._status = status
        return self._status is not None

    def _look_after_tree(self) -> None:
        """Reap the orphans that ended, lest zombies fill the process table, and count what lives."""
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == self._pid:
                self._status = ended[1]
                return
        most = self._host.processes
        self._killed = count_descendants(os.getpid(), at_most=most) > most

    def _clear_up(self) -> None:
        """Kill what is left, take what the pipes still hold, close every descriptor of the run."""
        dead = self._is_alone() or kill_all(self._pid)
        for output in (self.stdout, self.stderr):
            output.end()
        if self._input is not None:
            os.close(self._input.descriptor)
        if _HAS_PIDFD:
            os.close(self._pidfd)
        if not dead:
            raise UndeadError

    def _is_alone(self) -> bool:
        """Tell whether nothing is left; cheaply known only where the orphans are ours."""
        if self._status is None or sys.platform != "linux":
            return False
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        return False
