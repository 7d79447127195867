import pytest

from sandboxes import ExecResult, SandboxError
from sandboxes.memory import MemorySandbox


def test_runs_are_answered_by_the_function():
    sandbox = MemorySandbox(lambda argv, stdin: ExecResult(f"{argv[-1]} {stdin}", "", 0, 0.0))
    assert sandbox.run(["python", "-c", "code"], stdin="given").stdout == "code given"
    assert MemorySandbox().run(["anything"]).ok


def test_a_failure_of_the_sandbox_can_be_played():
    def fail(argv, stdin):
        raise SandboxError("gone")

    with pytest.raises(SandboxError, match="gone"):
        MemorySandbox(fail).run(["x"])


def test_files_can_be_looked_at_and_planted():
    sandbox = MemorySandbox()
    sandbox.write_file("a/b", b"1")
    assert sandbox.files == {"a/b": b"1"}
    sandbox.files["c"] = b"2"
    assert sandbox.read_file("c") == b"2"
