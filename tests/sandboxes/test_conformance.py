import contextlib

import pytest

from sandboxes import ExecResult, Sandbox, SandboxConfig, open_sandbox
from sandboxes.conformance import CHECKS, FILE_CHECKS, Check
from sandboxes.memory import MemorySandbox


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_process_sandbox_conforms(check: Check):
    with contextlib.closing(open_sandbox(SandboxConfig())) as sandbox:
        assert isinstance(sandbox, Sandbox)
        check(sandbox)


@pytest.mark.parametrize("check", FILE_CHECKS, ids=lambda check: check.__name__)
def test_the_memory_sandbox_conforms_in_files_and_arguments(check: Check):
    sandbox = MemorySandbox()
    assert isinstance(sandbox, Sandbox)
    check(sandbox)


@pytest.mark.parametrize("check", CHECKS[len(FILE_CHECKS) :], ids=lambda check: check.__name__)
def test_a_sandbox_that_runs_nothing_fails_every_check_of_programs(check: Check):
    # A beat that stands still would satisfy a check about silence by itself: the check must ask for more.
    sandbox = MemorySandbox()
    sandbox.write_file("beat", b".")
    with pytest.raises((AssertionError, FileNotFoundError, ValueError)):
        check(sandbox)


def test_a_check_says_what_it_expected_and_what_it_got():
    sandbox = MemorySandbox(lambda argv, stdin: ExecResult("41\n", "", 0, 0.0))
    with pytest.raises(AssertionError, match=r"expected exit code 0 and 'done\\n'; got ExecResult\(stdout='41"):
        next(check for check in CHECKS if check.__name__ == "a_daemon_does_not_survive")(sandbox)
