"""Finding and killing everything a program started, and what a dead launcher left behind."""

import contextlib
import ctypes
import os
import signal
import sys
import time

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_KILLING_S = 5.0


def adopt_orphans() -> None:
    """On Linux, become the parent of every orphan among the descendants, so that no daemon gets away."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_all(group: int) -> bool:
    """Kill the process group and every descendant of this process, and reap them; tell whether all are dead.

    A descendant in a session of its own is found through its parent, which is this process once the one between is
    dead. Elsewhere than on Linux only the group is found.
    """
    # One signal to the group is atomic: a fork under way in it is interrupted, so a fork bomb cannot outrun this.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    end = time.monotonic() + _KILLING_S
    while _reaped():
        for child in children(os.getpid()):
            _kill(child)
        if time.monotonic() > end:
            return False
        time.sleep(0.0005)
    return True


def children(pid: int) -> list[int]:
    """Return the children of a process, all its threads' together; none where the system does not tell."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found.extend(map(int, file.read().split()))
    return found


def count_descendants(pid: int, *, at_most: int) -> int:
    """Return how many descendants a process has; counting stops above `at_most`."""
    waiting, count = children(pid), 0
    while waiting and count <= at_most:
        count += 1
        waiting.extend(children(waiting.pop()))
    return count


def kill_leftovers(folder: str) -> None:
    """Kill the processes whose working folder or home is `folder`; for when the launcher is dead (Linux only)."""
    for _ in range(100):
        found = [pid for pid in _pids() if _belongs(pid, folder)]
        if not found:
            return
        for pid in found:
            _kill(pid)
        time.sleep(0.001)


def _reaped() -> bool:
    """Reap what has ended; tell whether children are left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return []


def _belongs(pid: int, folder: str) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            if file.read().rpartition(b")")[2].split()[0] == b"Z":
                return False
        with open(f"/proc/{pid}/environ", "rb") as file:
            if f"HOME={folder}".encode() in file.read().split(b"\0"):
                return True
        place = os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return False
    return place == folder or place.startswith(folder + "/")


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
