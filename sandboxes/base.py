"""The sandbox protocol: one disposable machine that runs programs and holds files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What one run gave. A failure of the program is told here; a failure of the sandbox is a `SandboxError`."""

    stdout: str
    """Standard output, decoded as UTF-8 with replacement, cut at the sandbox's output limit."""
    stderr: str
    """Standard error, likewise."""
    exit_code: int
    """The exit status, or minus the signal number for a program that a signal ended."""
    seconds: float
    """Wall-clock seconds of the run."""
    timed_out: bool = False
    """The run was killed at its wall-clock limit; the output up to then is kept."""
    truncated: bool = False
    """Standard output or standard error was cut at the output limit."""
    oom: bool = False
    """The run ended because it wanted more memory than it may have."""

    @property
    def ok(self) -> bool:
        """Whether the program ended by itself with exit code 0."""
        return self.exit_code == 0 and not self.timed_out


@runtime_checkable
class Sandbox(Protocol):
    """One disposable machine. Not thread-safe: one caller at a time.

    When `run` returns, nothing that the program started is alive.
    Every method raises `SandboxError` when the sandbox itself fails.
    """

    def run(self, argv: Sequence[str], *, stdin: str = "", timeout_s: float = 10.0) -> ExecResult:
        """Run `argv` in the working folder and wait for its end, `timeout_s` wall-clock seconds at most.

        `argv[0] == "python"` is the sandbox's own isolated interpreter. Output is bounded, never an error.
        """
        ...

    def read_file(self, path: str, *, max_bytes: int = 1 << 20) -> bytes:
        """Return a regular file of the work space; `path` is relative to it.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the path leaves the work space, is no regular file, or is larger than `max_bytes`.
        """
        ...

    def write_file(self, path: str, data: bytes) -> None:
        """Write a file of the work space, making its folders; `ValueError` if the path leaves the work space."""
        ...

    def reset(self) -> None:
        """Kill what still runs and empty the work space, so that the next user finds a new machine."""
        ...

    def close(self) -> None:
        """Kill what still runs and give everything back. Closing twice is allowed."""
        ...
