import contextlib
import os
import threading

import pytest
from pydantic import ValidationError

from sandboxes import ExecResult, Sandbox, SandboxConfig, SandboxError, UsageError, close_pools, lease
from sandboxes.memory import MemorySandbox
from sandboxes.pool import SandboxPool


class Opener:
    """Opens memory sandboxes and remembers them."""

    def __init__(self) -> None:
        self.opened: list[MemorySandbox] = []
        self.fails = False

    def __call__(self, config: SandboxConfig) -> Sandbox:
        if self.fails:
            raise SandboxError("none today")
        self.opened.append(MemorySandbox(self.answer))
        return self.opened[-1]

    def answer(self, argv, stdin) -> ExecResult:
        if argv == ["fail"]:
            raise SandboxError("failed")
        return ExecResult("", "", 0, 0.0)


def pool_of(slots: int) -> tuple[SandboxPool, Opener]:
    opener = Opener()
    return SandboxPool(SandboxConfig(slots=slots), opener), opener


def test_a_sandbox_is_opened_when_needed_and_lent_again_empty():
    pool, opener = pool_of(2)
    assert opener.opened == []
    for _ in range(3):
        with pool.lease() as sandbox:
            assert sandbox is opener.opened[0]
            with pytest.raises(FileNotFoundError):
                sandbox.read_file("left")
            sandbox.write_file("left", b"")
    assert len(opener.opened) == 1


def test_a_sandbox_that_failed_is_replaced():
    pool, opener = pool_of(1)
    with pytest.raises(SandboxError, match="failed"), pool.lease() as sandbox:
        sandbox.run(["fail"])
    with pool.lease() as sandbox:
        assert sandbox is opener.opened[1]
    with pytest.raises(SandboxError, match="closed"):
        opener.opened[0].reset()


def test_a_sandbox_that_cannot_be_reset_is_replaced(caplog):
    pool, opener = pool_of(1)
    with pool.lease() as sandbox:
        sandbox.close()
    with pool.lease() as sandbox:
        assert sandbox is opener.opened[1]
    assert "a sandbox is replaced" in caplog.text


def test_an_error_of_the_borrower_costs_no_sandbox():
    pool, opener = pool_of(1)
    with pytest.raises(ZeroDivisionError), pool.lease():
        _ = 1 / 0
    with pool.lease() as sandbox:
        assert sandbox is opener.opened[0]


def test_waiting_ends_with_a_sandbox_error_and_leaves_no_trace():
    pool, opener = pool_of(1)
    with pool.lease(), pytest.raises(SandboxError, match=r"within 0\.01 s: all 1 slots"), pool.lease(timeout_s=0.01):
        pass
    with pool.lease(timeout_s=1):
        assert len(opener.opened) == 1


def test_who_asks_first_is_served_first(eventually):
    pool, opener = pool_of(1)
    served: list[int] = []

    def ask(number: int) -> None:
        with pool.lease():
            served.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    with pool.lease():
        for number, thread in enumerate(threads):
            thread.start()
            eventually(lambda number=number: pool.waiting == number + 1)
    for thread in threads:
        thread.join()
    assert served == list(range(8))
    assert len(opener.opened) == 1


def test_a_failed_opening_passes_the_slot_on(eventually):
    pool, opener = pool_of(1)
    got: list[Sandbox] = []

    def ask() -> None:
        with pool.lease() as sandbox:
            got.append(sandbox)

    waiting = threading.Thread(target=ask)
    with contextlib.suppress(SandboxError), pool.lease() as sandbox:
        waiting.start()
        eventually(lambda: pool.waiting)
        sandbox.run(["fail"])
    waiting.join()
    assert got == [opener.opened[1]]
    pool.close()
    pool, opener = pool_of(1)
    opener.fails = True
    with pytest.raises(SandboxError, match="none today"), pool.lease():
        pass
    opener.fails = False
    with pool.lease(timeout_s=0.1):
        pass


def test_a_closed_pool_closes_what_comes_back_and_lends_nothing():
    pool, opener = pool_of(2)
    with pool.lease():
        with pool.lease():
            pass
        pool.close()
    assert len(opener.opened) == 2
    for sandbox in opener.opened:
        with pytest.raises(SandboxError, match="closed"):
            sandbox.reset()
    with pytest.raises(SandboxError, match="pool is closed"), pool.lease():
        pass


def test_a_sandbox_that_fails_to_close_is_reported_and_left(caplog):
    class Stubborn(MemorySandbox):
        def close(self) -> None:
            raise SandboxError("will not")

    pool = SandboxPool(SandboxConfig(slots=1), lambda config: Stubborn())
    with pool.lease():
        pass
    pool.close()
    assert "did not close: will not" in caplog.text


@pytest.mark.usefixtures("pools")
def test_eight_threads_share_three_sandboxes():
    pids: set[int] = set()

    def work(number: int) -> None:
        for turn in range(8):
            with lease({"slots": 3}) as sandbox:
                pids.add(sandbox.pid)
                assert sandbox.run(["python", "-c", "import os; print(os.listdir())"]).stdout == "[]\n"
                sandbox.write_file("mine", str(number).encode())
                code = "print(open('mine').read(), end='')"
                outputs.append((number, turn, sandbox.run(["python", "-c", code]).stdout))

    outputs: list[tuple[int, int, str]] = []
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outputs) == 64
    assert all(output == str(number) for number, _, output in outputs)
    assert len(pids) == 3


@pytest.mark.usefixtures("pools")
def test_the_pool_heals_after_a_launcher_was_killed(alive):
    with contextlib.suppress(SandboxError), lease({"slots": 1}) as sandbox:
        first = sandbox.pid
        os.kill(first, 9)
        sandbox.run(["python", "-c", ""])
    with lease({"slots": 1}) as sandbox:
        assert sandbox.pid != first
        assert sandbox.run(["python", "-c", "print(1)"]).stdout == "1\n"
    assert not alive(first)


def test_closing_the_pools_leaves_neither_process_nor_folder(temporary, alive):
    with lease({"slots": 2}) as one, lease({"slots": 2}) as two, lease({"slots": 2, "memory_mb": 256}) as other:
        pids = [one.pid, two.pid, other.pid]
    assert all(map(alive, pids))
    close_pools()
    assert not any(map(alive, pids))
    assert list(temporary.iterdir()) == []


@pytest.mark.usefixtures("pools")
def test_a_forked_child_has_pools_of_its_own():
    with lease({"slots": 1}) as sandbox:
        parents = sandbox.pid
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with lease({"slots": 1}) as own:
                    status = 42 if own.pid != parents and own.run(["python", "-c", ""]).ok else 2
                close_pools()
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
        assert sandbox.run(["python", "-c", "print(1)"]).stdout == "1\n"


def test_options_are_checked_before_anything_opens():
    for options, error, words in (
        ({"id": "proces"}, UsageError, "did you mean 'process'"),
        ({"memory": 1}, ValidationError, "memory"),
        ({"slots": 0}, ValidationError, "greater than or equal to 1"),
    ):
        with pytest.raises(error, match=words), lease(options):
            pass
