"""Checks that every run ends, at its limits at the latest, and that nothing of it lives on."""

import signal
import time

from sandboxes.base import ExecResult, Sandbox
from sandboxes.conformance.checks import Check, expect, expect_output, python

_BEATING = """
import os, time
def beat():
    while True:
        with open('beat', 'a') as file:
            file.write('.')
        time.sleep(0.005)
def wait_for_beat():
    while not os.path.exists('beat'):
        time.sleep(0.001)
"""
_GENTLE_S = 0.3


def a_program_is_killed_at_its_time_limit(sandbox: Sandbox) -> None:
    """In a loop, asleep, ignoring signals, with closed outputs, stopped: the output so far is kept."""
    ways = (
        "while True: pass",
        "import time; time.sleep(60)",
        "import signal, time\nfor n in (1, 2, 3, 15): signal.signal(n, signal.SIG_IGN)\nwhile True: time.sleep(9)",
        "import os, time; os.close(0); os.close(1); os.close(2); time.sleep(60)",
        f"import os; os.kill(os.getpid(), {int(signal.SIGSTOP)})",
    )
    for way in ways:
        result = python(sandbox, "print('so far', flush=True)\n" + way, timeout_s=_GENTLE_S)
        expect(result.timed_out and not result.ok and not result.oom, f"a timeout of {way!r}", result)
        expect(result.stdout == "so far\n" and result.exit_code == -signal.SIGKILL, "the output so far", result)
    expect_output(python(sandbox, "print('next')"), "next\n")


def a_flood_is_cut(sandbox: Sandbox) -> None:
    """Endless output, also by several children on both streams: cut, and the run ends."""
    code = "import os\nfor _ in range(3): os.fork()\nwhile True: os.write(1, b'y' * 9999); os.write(2, b'n' * 9999)"
    result = python(sandbox, code, timeout_s=5)
    expect(result.truncated and not result.ok, "a run cut short", result.exit_code)
    expect(set(result.stdout) == {"y"} and set(result.stderr) == {"n"}, "its first output is kept")


def memory_is_limited(sandbox: Sandbox) -> None:
    """More memory than allowed ends the program, not the sandbox, and is told."""
    result = python(sandbox, "x = bytearray(1 << 40)")
    expect(result.oom and result.exit_code != 0, "out of memory", result)
    slowly = python(sandbox, "x = []\nwhile True: x.append(bytearray(1 << 24))")
    expect(slowly.oom and slowly.exit_code != 0, "out of memory", slowly)
    expect_output(python(sandbox, "print('next')"), "next\n")


def a_run_ends_with_its_program(sandbox: Sandbox) -> None:
    """A child in the background that holds the outputs open does not delay the end."""
    code = _BEATING + "if os.fork() == 0: beat()\nwait_for_beat(); print('done')"
    _expect_silence(sandbox, python(sandbox, code))


def a_daemon_does_not_survive(sandbox: Sandbox) -> None:
    """Nor does one that left the session and lost its parent."""
    code = _BEATING + "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: beat()\n    os._exit(0)\n"
    _expect_silence(sandbox, python(sandbox, code + "wait_for_beat(); print('done')"))


def a_tree_is_killed_at_the_time_limit(sandbox: Sandbox) -> None:
    """Children, grandchildren and daemons alike, in the shell too."""
    code = _BEATING + "os.fork(); os.fork()\nif os.fork() == 0: os.setsid()\nbeat()"
    result = python(sandbox, code, timeout_s=_GENTLE_S)
    expect(result.timed_out, "a timeout", result)
    _expect_no_beat(sandbox)
    shell = sandbox.run(["sh", "-c", "(sleep 60 &) ; sleep 60 | sleep 60"], timeout_s=_GENTLE_S)
    expect(shell.timed_out, "a timeout", shell)


def too_many_processes_are_stopped(sandbox: Sandbox) -> None:
    """A program that forks without end is refused or killed, and the next one runs."""
    code = "import os, time\nfor _ in range(400):\n    if os.fork() == 0: time.sleep(60)\ntime.sleep(60)"
    result = python(sandbox, code)
    expect(not result.timed_out and result.exit_code != 0, "an early end", result)
    expect_output(python(sandbox, "print('next')"), "next\n")


def orphans_are_reaped(sandbox: Sandbox) -> None:
    """Zombies of a long run do not gather."""
    code = (
        "import os\nfor _ in range(200):\n    child = os.fork()\n    if child == 0:\n        os.fork()\n"
        "        os._exit(0)\n    os.waitpid(child, 0)\nprint('done')"
    )
    expect_output(python(sandbox, code), "done\n")


def a_folder_of_any_shape_is_emptied(sandbox: Sandbox) -> None:
    """Deeper than a path may be long, without permissions, with strange names: `reset` leaves nothing."""
    code = (
        "import os\nos.makedirs('shut/inner'); os.chmod('shut/inner', 0); os.chmod('shut', 0)\n"
        "open('\\n \\udcff', 'w'); os.symlink('/', 'root')\n"
        "for _ in range(60):\n    os.mkdir('d' * 99); os.chdir('d' * 99)\nprint('done')"
    )
    expect_output(python(sandbox, code), "done\n")
    sandbox.reset()
    expect_output(python(sandbox, "import os; print(os.listdir())"), "[]\n")


def _expect_silence(sandbox: Sandbox, result: ExecResult) -> None:
    expect_output(result, "done\n")
    _expect_no_beat(sandbox)


def _expect_no_beat(sandbox: Sandbox) -> None:
    before = sandbox.read_file("beat")
    time.sleep(0.1)
    expect(sandbox.read_file("beat") == before, "nothing of the program is alive after the run")


ENDING_CHECKS: tuple[Check, ...] = (
    a_program_is_killed_at_its_time_limit,
    a_flood_is_cut,
    memory_is_limited,
    a_run_ends_with_its_program,
    a_daemon_does_not_survive,
    a_tree_is_killed_at_the_time_limit,
    too_many_processes_are_stopped,
    orphans_are_reaped,
    a_folder_of_any_shape_is_emptied,
)
