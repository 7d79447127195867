"""The sandbox that works wherever Python does: child processes with limits, of the same user, behind one launcher.

A launcher (`sandboxes.launcher`) is exec'd once per sandbox and forks each program, so that a run costs a fork and not
an interpreter's start. Each program gets a session of its own, resource limits, a clean environment and the sandbox's
private folder as working folder, home and place for temporary files. `python` is the standard library only, isolated.

What it does not stop: it is a fence against accidents, not a wall against malice. See `describe`.
"""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sandboxes.arguments import check_data, check_path, check_run
from sandboxes.base import ExecResult
from sandboxes.config import SandboxConfig
from sandboxes.errors import SandboxError
from sandboxes.launcher.processes import kill_leftovers
from sandboxes.wire import receive, send
from sandboxes.workspace import Workspace

_BOOT = Path(__file__).parent / "launcher" / "boot.py"
_PATH = "/usr/local/bin:/usr/bin:/bin"
_STARTING_S = 30.0
_GRACE_S = 10.0
"""Seconds beyond a run's own limit after which the launcher itself counts as hung."""
_ENDING_S = 5.0
_alive: "weakref.WeakSet[ProcessSandbox]" = weakref.WeakSet()


def describe(config: SandboxConfig) -> list[str]:
    """Return what this backend stops and what it does not, in words, for the user of `config`."""
    stopped = [
        "running past the time limit",
        f"files of more than {config.file_mb} MiB",
        f"more than {config.output_bytes} bytes of each output",
    ]
    not_stopped = [
        "reading and writing whatever files this user may",
        "using the network",
        "signalling this user's other processes",
        "filling the disk with many files",
    ]
    if sys.platform == "linux":
        stopped += [f"more than {config.memory_mb} MiB in a process", f"more than {config.processes} processes at once"]
    else:
        not_stopped += ["using all memory", "forking without end", "a daemon that leaves its session"]
    if os.geteuid() == 0:
        not_stopped.append("raising its own limits (this user is root)")
    return [
        "sandbox 'process': programs run as child processes of this user, in a private temporary folder, "
        "with a clean environment",
        f"stops: {', '.join(stopped)}",
        f"does NOT stop: {', '.join(not_stopped)}",
        "it is meant for programs of a model you train, not for programs of somebody who means harm",
    ]


class ProcessSandbox:
    """A `Sandbox` made of child processes; `describe` says what it does not stop.

    Not thread-safe. After `os.fork` it belongs to the process that made it; in the other every method raises
    `SandboxError`. If its process dies, the launcher kills what runs, removes the folder and ends.

    Raises:
        SandboxError: no folder can be made, or the launcher does not start.
    """

    def __init__(self, config: SandboxConfig | None = None) -> None:
        self._config = config or SandboxConfig()
        self._fault: str | None = None
        self._closed = False
        try:
            self._workspace = Workspace(os.path.realpath(tempfile.mkdtemp(prefix="toolgym-")))
        except OSError as error:
            raise SandboxError(f"process sandbox: no private folder can be made: {error}") from error
        try:
            self._socket, self._launcher = _launch(self._workspace.path)
        except OSError as error:
            self._workspace.remove()
            raise SandboxError(f"process sandbox: {sys.executable} does not start: {error}") from error
        _watch_forks()
        _alive.add(self)
        try:
            opening = self._config.model_dump(include={"memory_mb", "file_mb", "output_bytes", "processes"})
            self._exchange({"folder": self._workspace.path, **opening}, b"", _STARTING_S)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The launcher's process id."""
        return self._launcher.pid

    def run(self, argv: Sequence[str], *, stdin: str = "", timeout_s: float = 10.0) -> ExecResult:
        """Run a program; see `Sandbox.run`. A program that floods its output with 16 MiB is killed."""
        check_run(argv, stdin, timeout_s)
        # A lone surrogate in what a policy wrote is the program's to read, not a fault of ours.
        data = stdin.encode("utf-8", "surrogatepass")
        header, body = self._exchange({"argv": list(argv), "timeout_s": timeout_s}, data, timeout_s + _GRACE_S)
        cut = header.pop("stdout_bytes")
        stdout, stderr = (part.decode("utf-8", "replace") for part in (body[:cut], body[cut:]))
        return ExecResult(stdout=stdout, stderr=stderr, **header)

    def read_file(self, path: str, *, max_bytes: int = 1 << 20) -> bytes:
        """Return a file of the work space; see `Sandbox.read_file`. A link, hard or symbolic, counts as none."""
        names = check_path(path)
        self._check_usable()
        return self._workspace.read(names, max_bytes)

    def write_file(self, path: str, data: bytes) -> None:
        """Write a file of the work space; see `Sandbox.write_file`. A link that stands there is replaced."""
        names = check_path(path)
        check_data(data)
        self._check_usable()
        if len(data) > self._config.file_mb << 20:
            raise ValueError(f"path={path!r:.200}: {len(data)} bytes; a file has at most {self._config.file_mb} MiB")
        with self._faults():
            self._workspace.write(names, data)

    def reset(self) -> None:
        """Empty the work space; nothing runs between two runs."""
        self._check_usable()
        with self._faults():
            self._workspace.empty()

    def close(self) -> None:
        """End the launcher and remove the folder. Closing twice is allowed."""
        if self._closed:
            return
        self._closed = True
        _alive.discard(self)
        self._socket.close()
        try:
            self._launcher.wait(_ENDING_S)  # it kills what runs, an interrupted program for instance
        except subprocess.TimeoutExpired:
            self._launcher.kill()
            self._launcher.wait()
        if self._fault or self._launcher.returncode != 0:
            kill_leftovers(self._workspace.path)
        self._workspace.remove()

    def _exchange(self, header: dict[str, Any], body: bytes, timeout_s: float) -> tuple[dict[str, Any], bytes]:
        """Send a frame and return the answer. Whatever interrupts this leaves the sandbox unusable."""
        self._check_usable()
        self._fault = "an exchange with its launcher was interrupted"
        try:
            self._socket.settimeout(timeout_s)
            send(self._socket, header, body)
            frame = receive(self._socket)
        except (OSError, ValueError) as error:
            self._fault = f"{type(error).__name__}: {error}"
            raise self._failure() from error
        if frame is None:
            self._fault = "the launcher ended"
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._launcher.wait(1.0)  # its end may be seen before its exit status
            raise self._failure()
        if "error" in frame[0]:
            self._fault = str(frame[0]["error"])
            raise self._failure()
        self._fault = None
        return frame

    def _check_usable(self) -> None:
        if self._closed:
            raise SandboxError("the sandbox is closed")
        if self._fault is not None:
            raise self._failure()

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except ValueError:
            raise
        except OSError as error:
            self._fault = f"{type(error).__name__}: {error}"
            raise self._failure() from error

    def _failure(self) -> SandboxError:
        code = self._launcher.poll()
        state = "its launcher lives" if code is None else f"its launcher ended with {code}"
        return SandboxError(f"process sandbox: {self._fault} ({state})")

    def _disown(self) -> None:
        """In a forked child: let go of what the parent owns, so that the launcher sees the parent's end."""
        self._fault, self._closed = "it belongs to the process that forked", True
        self._socket.close()
        self._workspace.forget()
        self._launcher.returncode = 0  # not ours to wait for, and no warning about it


def _launch(folder: str) -> tuple[socket.socket, "subprocess.Popen[bytes]"]:
    ours, theirs = socket.socketpair()
    home = {"HOME": folder, "TMPDIR": folder, "PATH": _PATH, "LANG": "C.UTF-8"}
    try:
        with theirs:
            launcher = subprocess.Popen(
                # -I would also ignore PYTHONHASHSEED, which makes the order of sets the same in every run.
                [sys.executable, "-P", "-s", "-S", str(_BOOT), str(theirs.fileno())],
                env=home | {"PYTHONHASHSEED": "0"},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
    except BaseException:
        ours.close()
        raise
    return ours, launcher


_watching = False


def _watch_forks() -> None:
    global _watching
    if not _watching:
        _watching = True
        os.register_at_fork(after_in_child=_disown_all)


def _disown_all() -> None:
    for sandbox in list(_alive):
        sandbox._disown()
    _alive.clear()
