"""Threads that run one job at a time under a deadline.

A job past its deadline gets `Overdue` raised into it. One that waits inside the operating system cannot receive it: it
is abandoned, and meets the exception when it wakes. One that goes on computing has hung: only the end of its process
stops it.
"""

import ctypes
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

GRACE_S = 1.0
"""Seconds that a job has to leave once it was told to."""
AGAIN_S = 0.4  # told again at most this often: a second exception may hit the clean-up that the first one began
_HUNG_TICKS = 2  # of 10 ms: a thread that waits uses up none after it was told again, one that computes does
_PR_SET_NAME = 15

_python = ctypes.pythonapi
_process = ctypes.PyDLL(None)


class Overdue(BaseException):
    """Raised into a job whose time is up. No `Exception`, so that `except Exception` in a tool does not keep it."""


class Outcome(NamedTuple):
    """How a job ended."""

    kind: Literal["done", "failed", "overdue", "hung"]
    value: Any = None
    """What it returned; for `failed`, `Type: message` and the traceback."""


class Job:
    """One call with its deadline. `deliver` is called once, from whichever thread knows the outcome first."""

    __slots__ = ("_token", "deadline", "deliver", "interrupting", "left", "name", "raised", "ticks", "told", "work")

    def __init__(
        self, work: Callable[[], object], timeout_s: float, deliver: Callable[[Outcome], None], *, name: str = "closing"
    ) -> None:
        self.work = work
        self.deadline = time.monotonic() + timeout_s
        self.deliver = deliver
        self.name = name
        self.told = 0.0  # when `Overdue` was raised last; 0 before
        self.ticks = 0
        self.interrupting = self.raised = self.left = False
        self._token = [True]

    def claim(self) -> bool:
        """Whether the caller, and nobody before it, may deliver the outcome."""
        with suppress(IndexError):
            return self._token.pop()  # atomic, and safe where an exception may come between any two lines
        return False


class Seat:
    """A thread that carries out jobs, one at a time, in the order given."""

    def __init__(self) -> None:
        self._inbox: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="toolgym-seat", daemon=True)
        self._thread.start()

    def run(self, job: Job) -> None:
        """Begin a job; the one before must have been delivered."""
        self._inbox.put(job)

    def stop(self) -> None:
        """End the thread after its job."""
        self._inbox.put(None)

    def watch(self, job: Job, now: float) -> bool:
        """Look after a running job at the monotonic time `now`; returns whether the seat was given up with its job."""
        if now < job.deadline:
            return False
        if now - job.told >= AGAIN_S:
            was_told, job.told = job.told, now  # before the interrupt: the job reads it as soon as it is hit
            before, job.ticks = job.ticks, self._cpu_ticks()
            if not _tracer_would_hang() or (was_told and job.ticks - before >= _HUNG_TICKS):
                self._interrupt(job)
        if now < job.deadline + GRACE_S or not job.claim():
            return False
        hung = self._cpu_ticks() - job.ticks >= _HUNG_TICKS
        job.deliver(Outcome("hung" if hung else "overdue"))
        return True

    def _serve(self) -> None:
        with suppress(Overdue):
            while (job := self._inbox.get()) is not None:
                _name_thread(job.name)
                outcome = _carry_out(job)
                self._leave(job)
                if not job.claim():
                    return
                job.deliver(outcome)

    def _leave(self, job: Job) -> None:
        """Make sure that no interrupt reaches this thread any more, so that `deliver` is never cut in two."""
        for _attempt in range(3):
            with suppress(Overdue):
                job.left = True
                while job.interrupting and not job.raised:
                    time.sleep(0.0002)
                for _ in range(2):  # a jump back is where an exception that waits for this thread is raised
                    pass
                return

    def _interrupt(self, job: Job) -> None:
        job.raised = False
        job.interrupting = True
        if not job.left:  # else it is about to deliver; it saw `interrupting`, or we see `left`
            _python.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread.ident or 0), ctypes.py_object(Overdue))
        job.raised = True

    def _cpu_ticks(self) -> int:
        """Return the thread's CPU time in ticks; off Linux every overdue job counts as computing."""
        if not sys.platform.startswith("linux"):
            return time.monotonic_ns() // 10_000_000
        try:
            line = Path(f"/proc/self/task/{self._thread.native_id}/stat").read_text()
        except OSError:
            return 0
        fields = line.rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])  # utime and stime, as proc(5) counts after the name


def _carry_out(job: Job) -> Outcome:
    try:
        return Outcome("done", job.work())
    except BaseException as error:  # even SystemExit of a tool ends its step only, not the process
        if job.told:
            return Outcome("overdue")
        return Outcome("failed", (f"{type(error).__name__}: {error}", traceback.format_exc()))


def _tracer_would_hang() -> bool:
    """Whether an exception may only be raised into a thread that takes it at once.

    CPython 3.11 under a tracer (a debugger, coverage) enters the same function again and again, in every thread, for as
    long as an exception waits for any thread. A thread that waits in the operating system is then left alone.
    """
    return sys.version_info < (3, 12) and sys.gettrace() is not None


def _name_thread(name: str) -> None:
    """Let the operating system know what the thread does, so that a process that does not answer can be asked."""
    if sys.platform.startswith("linux"):
        _process.prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)
