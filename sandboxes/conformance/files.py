"""Checks of files, arguments and life: what even a sandbox that runs nothing must do."""

from sandboxes.base import Sandbox
from sandboxes.conformance.checks import Check, expect, expect_refusal
from sandboxes.errors import SandboxError


def a_file_comes_back_as_it_was_written(sandbox: Sandbox) -> None:
    """Bytes, not text; folders are made; a second write replaces the first."""
    data = bytes(range(256)) * 3
    sandbox.write_file("a/b/c.bin", b"first")
    sandbox.write_file("a/b/c.bin", data)
    expect(sandbox.read_file("./a//b/c.bin") == data, "the bytes written last")
    sandbox.write_file("empty", b"")
    expect(sandbox.read_file("empty") == b"", "an empty file")


def a_missing_file_is_not_found(sandbox: Sandbox) -> None:
    """`FileNotFoundError`, in a folder that is missing too."""
    expect_refusal(FileNotFoundError, sandbox.read_file, "nothing")
    expect_refusal(FileNotFoundError, sandbox.read_file, "no/such/file")


def a_path_cannot_leave_the_work_space(sandbox: Sandbox) -> None:
    """`..`, absolute paths, NUL, the empty path: `ValueError` for reading and writing."""
    sandbox.write_file("a/file", b"")
    for path in ("/etc/passwd", "../file", "a/../../file", "a/..", "..", ".", "", "a\0b"):
        expect_refusal(ValueError, sandbox.read_file, path)
        expect_refusal(ValueError, sandbox.write_file, path, b"")


def files_and_folders_are_not_mistaken(sandbox: Sandbox) -> None:
    """Reading or replacing a folder, or going through a file, is a `ValueError`."""
    sandbox.write_file("folder/file", b"")
    expect_refusal(ValueError, sandbox.read_file, "folder")
    expect_refusal(ValueError, sandbox.write_file, "folder", b"")
    expect_refusal(ValueError, sandbox.write_file, "folder/file/deeper", b"")


def reading_is_bounded(sandbox: Sandbox) -> None:
    """`max_bytes` are read, one more is refused."""
    sandbox.write_file("file", b"12345")
    expect(sandbox.read_file("file", max_bytes=5) == b"12345", "a file of exactly max_bytes")
    expect_refusal(ValueError, sandbox.read_file, "file", max_bytes=4)


def wrong_arguments_are_refused(sandbox: Sandbox) -> None:
    """A limit that is none, a command that is none, text for bytes."""
    for timeout_s in (0, -1.0, float("nan"), float("inf")):
        expect_refusal(ValueError, sandbox.run, ["python", "-c", ""], timeout_s=timeout_s)
    for argv in ([], [""]):
        expect_refusal(ValueError, sandbox.run, argv)
    expect_refusal(TypeError, sandbox.run, "python")
    expect_refusal(TypeError, sandbox.run, ["python", 1])
    expect_refusal(TypeError, sandbox.run, ["python", "-c", ""], stdin=b"bytes")
    expect_refusal(TypeError, sandbox.write_file, "file", "text")


def reset_empties_the_work_space(sandbox: Sandbox) -> None:
    """Nothing of the last user is found, and the sandbox works on."""
    sandbox.write_file("a/b", b"secret")
    sandbox.write_file("c", b"secret")
    sandbox.reset()
    expect_refusal(FileNotFoundError, sandbox.read_file, "a/b")
    expect_refusal(FileNotFoundError, sandbox.read_file, "c")
    sandbox.write_file("a", b"a file now")
    expect(sandbox.read_file("a") == b"a file now", "a file where a folder was")


def a_closed_sandbox_refuses(sandbox: Sandbox) -> None:
    """Closing twice is allowed; whatever follows is a `SandboxError`."""
    sandbox.close()
    sandbox.close()
    expect_refusal(SandboxError, sandbox.run, ["python", "-c", ""])
    expect_refusal(SandboxError, sandbox.read_file, "file")
    expect_refusal(SandboxError, sandbox.write_file, "file", b"")
    expect_refusal(SandboxError, sandbox.reset)


FILE_CHECKS: tuple[Check, ...] = (
    a_file_comes_back_as_it_was_written,
    a_missing_file_is_not_found,
    a_path_cannot_leave_the_work_space,
    files_and_folders_are_not_mistaken,
    reading_is_bounded,
    wrong_arguments_are_refused,
    reset_empties_the_work_space,
    a_closed_sandbox_refuses,
)
