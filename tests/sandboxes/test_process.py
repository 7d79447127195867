import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from sandboxes import SandboxConfig, SandboxError
from sandboxes.process import ProcessSandbox, describe

KILL_LAUNCHER = "import os, signal; os.kill(os.getppid(), signal.SIGKILL); signal.pause()"


def test_a_secret_of_the_environment_is_not_seen(monkeypatch):
    monkeypatch.setenv("TOOLGYM_TEST_SECRET", "hunter2")
    code = "import os; print(dict(os.environ)); os.path.exists('/proc') and print(open('/proc/self/environ').read())"
    with contextlib.closing(ProcessSandbox()) as sandbox:
        result = sandbox.run(["python", "-c", code])
        shell = sandbox.run(["sh", "-c", "env"])
    assert result.ok
    assert shell.ok
    assert "hunter2" not in result.stdout + shell.stdout


def test_a_program_inherits_no_descriptor(sandbox: ProcessSandbox):
    code = "import os\nfor n in range(3, 300):\n    try: os.fstat(n); print(n)\n    except OSError: pass"
    assert sandbox.run(["python", "-c", code]).stdout == ""


def test_sets_of_text_have_the_same_order_in_every_sandbox():
    code = "print({str(n) for n in range(50)})"
    outputs = set()
    for _ in range(2):
        with contextlib.closing(ProcessSandbox()) as sandbox:
            outputs.add(sandbox.run(["python", "-c", code]).stdout)
    assert len(outputs) == 1


def test_options_that_a_forked_interpreter_cannot_have_reach_a_new_one(sandbox: ProcessSandbox):
    assert sandbox.run(["python", "-c"]).exit_code == 2
    assert sandbox.run(["python", "-m", "calendar", "2024", "2"]).stdout.strip().startswith("February 2024")
    assert sandbox.run(["python", "-"], stdin="print(6 * 7)").stdout == "42\n"
    assert sandbox.run(["python"], stdin="print(6 * 7)").stdout == "42\n"


def test_a_word_with_nul_is_the_programs_failure(sandbox: ProcessSandbox):
    result = sandbox.run(["sh", "-c", "echo \0"])
    assert result.exit_code == 126
    assert "null byte" in result.stderr


def test_a_file_larger_than_allowed_is_not_written():
    with contextlib.closing(ProcessSandbox(SandboxConfig(file_mb=1))) as sandbox:
        result = sandbox.run(["python", "-c", "open('big', 'wb').write(bytes(1 << 21))"])
        assert not result.ok
        with pytest.raises(ValueError, match="at most 1 MiB"):
            sandbox.write_file("big", bytes((1 << 20) + 1))


def test_the_limits_of_a_run_are_those_of_the_configuration():
    config = SandboxConfig(memory_mb=64, output_bytes=256)
    with contextlib.closing(ProcessSandbox(config)) as sandbox:
        assert sandbox.run(["python", "-c", "print('x' * 256, end='')"]).truncated is False
        assert sandbox.run(["python", "-c", "print('x' * 256)"]).stdout == "x" * 256
        assert sandbox.run(["python", "-c", "bytearray(1 << 26)"]).oom
        code = "import resource as r; print(r.getrlimit(r.RLIMIT_CORE), r.getrlimit(r.RLIMIT_AS)[1] >> 20)"
        assert sandbox.run(["python", "-c", code]).stdout == "(0, 0) 64\n"


def test_a_kill_from_outside_reads_as_out_of_memory_and_a_timeout_does_not(sandbox: ProcessSandbox):
    killed = sandbox.run(["python", "-c", "import os; os.kill(os.getpid(), 9)"])
    assert (killed.exit_code, killed.oom, killed.timed_out) == (-signal.SIGKILL, True, False)
    timed_out = sandbox.run(["python", "-c", "while True: pass"], timeout_s=0.1)
    assert (timed_out.exit_code, timed_out.oom, timed_out.timed_out) == (-signal.SIGKILL, False, True)


def test_a_launcher_that_is_killed_is_a_sandbox_error_now_and_later(sandbox: ProcessSandbox):
    with pytest.raises(SandboxError, match="its launcher ended with -9"):
        sandbox.run(["python", "-c", KILL_LAUNCHER])
    for use in (lambda: sandbox.run(["python", "-c", ""]), lambda: sandbox.read_file("x"), sandbox.reset):
        with pytest.raises(SandboxError):
            use()


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc tells what a dead launcher left behind")
def test_closing_kills_what_a_dead_launcher_left_behind(alive):
    code = (
        "import os, signal, time\nif os.fork() == 0:\n    os.setsid()\n    open('pid', 'w').write(str(os.getpid()))\n"
        "    time.sleep(60)\nwhile not os.path.exists('pid') or not open('pid').read(): time.sleep(0.001)\n"
    )
    sandbox = ProcessSandbox()
    folder = sandbox.run(["python", "-c", "import os; print(os.getcwd())"]).stdout.strip()
    with pytest.raises(SandboxError):
        sandbox.run(["python", "-c", code + KILL_LAUNCHER])
    with open(f"{folder}/pid") as file:
        pid = int(file.read())
    assert alive(pid)
    sandbox.close()
    assert not alive(pid)
    assert not os.path.exists(folder)


def test_a_launcher_that_does_not_answer_is_a_sandbox_error(sandbox: ProcessSandbox, monkeypatch):
    monkeypatch.setattr("sandboxes.process._GRACE_S", 0.2)
    monkeypatch.setattr("sandboxes.process._ENDING_S", 0.1)
    with pytest.raises(SandboxError, match="its launcher lives"):
        sandbox.run(["python", "-c", "import os, signal; os.kill(os.getppid(), signal.SIGSTOP)"], timeout_s=0.1)
    sandbox.close()


def test_an_interrupted_run_leaves_no_sandbox_that_answers_out_of_turn(sandbox: ProcessSandbox):
    def interrupt(*_):
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            sandbox.run(["python", "-c", "import time; time.sleep(0.3); print('late')"])
    finally:
        signal.signal(signal.SIGALRM, previous)
    with pytest.raises(SandboxError, match="interrupted"):
        sandbox.run(["python", "-c", "print('next')"])


def test_a_removed_work_space_is_a_sandbox_error(sandbox: ProcessSandbox):
    assert sandbox.run(["python", "-c", "import os; os.rmdir(os.getcwd())"]).ok
    with pytest.raises(SandboxError, match="FileNotFoundError"):
        sandbox.write_file("file", b"")
    with pytest.raises(SandboxError):
        sandbox.reset()


def test_a_missing_interpreter_is_a_sandbox_error_and_leaves_no_folder(temporary, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(SandboxError, match="/no/such/python does not start"):
        ProcessSandbox()
    assert list(temporary.iterdir()) == []


def test_a_missing_temporary_folder_is_a_sandbox_error(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/no/such/folder")
    with pytest.raises(SandboxError, match="no private folder"):
        ProcessSandbox()


def test_a_launcher_that_cannot_begin_is_a_sandbox_error_and_leaves_no_folder(temporary, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SandboxError):
        ProcessSandbox()
    assert list(temporary.iterdir()) == []


def test_closing_leaves_neither_process_nor_folder(temporary, alive):
    sandboxes = [ProcessSandbox() for _ in range(3)]
    for sandbox in sandboxes:
        sandbox.write_file("a/b/c", b"data")
        sandbox.run(["sh", "-c", "sleep 60 & echo started"])
    assert len(list(temporary.iterdir())) == 3
    for sandbox in sandboxes:
        sandbox.close()
    assert not any(alive(sandbox.pid) for sandbox in sandboxes)
    assert list(temporary.iterdir()) == []


def test_when_its_owner_dies_the_launcher_kills_cleans_and_ends(temporary, alive, eventually):
    script = (
        "import threading, time\nfrom sandboxes.process import ProcessSandbox\n"
        "sandbox = ProcessSandbox()\n"
        "code = \"import os; os.fork(); open('pid%d' % os.getpid(), 'w'); import time; time.sleep(60)\"\n"
        "threading.Thread(target=sandbox.run, args=(['python', '-c', code],), daemon=True).start()\n"
        "print(sandbox.pid, flush=True); time.sleep(60)\n"
    )
    environment = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as owner:
        assert owner.stdout is not None
        launcher = int(owner.stdout.readline())
        eventually(lambda: len(list(temporary.glob("*/pid*"))) == 2)
        programs = [int(path.name[3:]) for path in temporary.glob("*/pid*")]
        assert all(map(alive, [launcher, *programs]))
        owner.kill()
    eventually(lambda: not any(map(alive, [launcher, *programs])))
    eventually(lambda: list(temporary.iterdir()) == [])


def test_after_a_fork_the_sandbox_stays_with_its_maker(sandbox: ProcessSandbox):
    child = os.fork()
    if child == 0:
        try:
            sandbox.close()
            sandbox.run(["python", "-c", ""])
        except SandboxError:
            os._exit(42)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
    assert sandbox.run(["python", "-c", "print('still here')"]).stdout == "still here\n"


def test_sandboxes_in_eight_threads_do_not_mix():
    def work(number: int) -> None:
        with contextlib.closing(ProcessSandbox()) as sandbox:
            for turn in range(10):
                results.append(sandbox.run(["python", "-c", f"print({number}, {turn})"]).stdout)

    results: list[str] = []
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted(f"{number} {turn}\n" for number in range(8) for turn in range(10))


def test_seconds_are_those_of_the_program(sandbox: ProcessSandbox):
    began = time.monotonic()
    result = sandbox.run(["python", "-c", "import time; time.sleep(0.1)"])
    assert 0.1 <= result.seconds <= time.monotonic() - began


def test_a_description_says_what_is_not_stopped(monkeypatch):
    words = " ".join(describe(SandboxConfig(memory_mb=123)))
    assert "does NOT stop" in words
    assert "network" in words
    assert "123 MiB" in words
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "a daemon that leaves its session" in " ".join(describe(SandboxConfig()))
