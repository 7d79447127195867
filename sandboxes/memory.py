"""A sandbox for tests: files in a dict, and runs answered by a function. It runs nothing."""

from collections.abc import Callable, Sequence

from sandboxes.arguments import check_data, check_path, check_run
from sandboxes.base import ExecResult
from sandboxes.errors import SandboxError

Answer = Callable[[Sequence[str], str], ExecResult]
"""Given `argv` and standard input, what the run gave."""


def silent(argv: Sequence[str], stdin: str) -> ExecResult:
    """Answer every run with success and no output."""
    return ExecResult(stdout="", stderr="", exit_code=0, seconds=0.0)


class MemorySandbox:
    """A `Sandbox` without processes: `answer(argv, stdin)` gives each result, and may raise `SandboxError`.

    `files` maps paths to bytes and may be read and changed by the test.
    """

    def __init__(self, answer: Answer = silent) -> None:
        self.files: dict[str, bytes] = {}
        self._answer = answer
        self._closed = False

    def run(self, argv: Sequence[str], *, stdin: str = "", timeout_s: float = 10.0) -> ExecResult:
        """Return what `answer` says; arguments are checked as every backend checks them."""
        check_run(argv, stdin, timeout_s)
        self._check_open()
        return self._answer(argv, stdin)

    def read_file(self, path: str, *, max_bytes: int = 1 << 20) -> bytes:
        """Return a file's bytes; see `Sandbox.read_file`."""
        name = "/".join(check_path(path))
        self._check_open()
        if self._is_folder(name):
            raise ValueError(f"path={path!r:.200}: is a folder")
        if name not in self.files:
            raise FileNotFoundError(name)
        if len(self.files[name]) > max_bytes:
            raise ValueError(f"path={path!r:.200}: {len(self.files[name])} bytes; at most {max_bytes} are read")
        return self.files[name]

    def write_file(self, path: str, data: bytes) -> None:
        """Keep a file; see `Sandbox.write_file`."""
        names = check_path(path)
        check_data(data)
        self._check_open()
        folders = ["/".join(names[:depth]) for depth in range(1, len(names))]
        if self._is_folder("/".join(names)) or any(folder in self.files for folder in folders):
            raise ValueError(f"path={path!r:.200}: a folder stands there, or a file where a folder should")
        self.files["/".join(names)] = bytes(data)

    def reset(self) -> None:
        """Forget every file."""
        self._check_open()
        self.files.clear()

    def close(self) -> None:
        """Refuse whatever follows. Closing twice is allowed."""
        self._closed = True

    def _is_folder(self, name: str) -> bool:
        return any(path.startswith(name + "/") for path in self.files)

    def _check_open(self) -> None:
        if self._closed:
            raise SandboxError("the sandbox is closed")
