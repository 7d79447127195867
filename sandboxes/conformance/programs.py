"""Checks of what a program finds and what is told about it."""

import os
import signal

from sandboxes.base import Sandbox
from sandboxes.conformance.checks import Check, expect, expect_output, expect_refusal, python

_CLEAN = {"HOME", "TMPDIR", "PATH", "LANG", "LC_ALL", "LC_CTYPE", "PWD", "HOSTNAME", "TERM", "USER", "SHLVL", "_"}


def python_is_a_fresh_interpreter(sandbox: Sandbox) -> None:
    """`__main__` is empty, arguments are the program's, nothing of the last program is left, `exit` exists."""
    code = (
        "import sys, builtins; print(__name__, sys.argv, hasattr(builtins, 'mark')); builtins.mark = 1; x = 1; exit()"
    )
    for _ in range(2):
        expect_output(sandbox.run(["python", "-c", code, "a b", "-c"]), "__main__ ['-c', 'a b', '-c'] False\n")
    expect(python(sandbox, "x").exit_code == 1, "a name of the last program is unknown")


def a_script_runs_in_the_work_space(sandbox: Sandbox) -> None:
    """Scripts are found, see their arguments, and share files with the caller."""
    source = b"import sys; print(__file__, sys.argv, open('in.txt').read()); open('out.txt', 'w').write('done')"
    sandbox.write_file("in.txt", b"given")
    sandbox.write_file("code/script.py", source)
    expect_output(sandbox.run(["python", "code/script.py", "1"]), "code/script.py ['code/script.py', '1'] given\n")
    expect(sandbox.read_file("out.txt") == b"done", "the file the script wrote")
    expect(sandbox.run(["python", "missing.py"]).exit_code == 2, "a missing script is the caller's to see")


def exit_codes_are_told(sandbox: Sandbox) -> None:
    """Of `sys.exit`, `os._exit`, an exception, a signal, a shell, a program that does not exist."""
    expected = {
        "import sys; sys.exit(3)": 3,
        "import sys; sys.exit()": 0,
        "import sys; sys.exit('words')": 1,
        "import sys; sys.exit(-1)": 255,
        "import os; os._exit(7)": 7,
        "1 / 0": 1,
        f"import os; os.kill(os.getpid(), {int(signal.SIGTERM)})": -signal.SIGTERM,
    }
    for code, status in expected.items():
        result = python(sandbox, code)
        expect(result.exit_code == status and result.ok == (status == 0), f"{code!r} gives {status}", result)
    expect("words" in python(sandbox, "import sys; sys.exit('words')").stderr, "the words of sys.exit")
    expect(sandbox.run(["sh", "-c", "exit 5"]).exit_code == 5, "a shell's exit code")
    missing = sandbox.run(["no-such-program"])
    expect(missing.exit_code == 127 and "no-such-program" in missing.stderr, "127 and words", missing)


def errors_read_as_the_interpreter_writes_them(sandbox: Sandbox) -> None:
    """A traceback shows the program's frames only; a syntax error has no traceback; no warnings are added."""
    result = python(sandbox, "def f():\n    return [][1]\nf()")
    frames = [line for line in result.stderr.splitlines() if line.lstrip().startswith("File ")]
    expect(result.stderr.startswith("Traceback (most recent call last):\n"), "a traceback", result)
    expect(result.stderr.endswith("\nIndexError: list index out of range\n") and len(frames) == 2, "2 frames", result)
    broken = python(sandbox, "def f(:")
    expect(broken.exit_code == 1 and "SyntaxError" in broken.stderr, "a syntax error", broken)
    expect("Traceback" not in broken.stderr, "no traceback", broken)
    expect(python(sandbox, "x = 1 is 1").stderr == "", "no syntax warning")


def a_source_nobody_can_compile_is_the_programs_failure(sandbox: Sandbox) -> None:
    """NUL, a lone surrogate, 10,000 brackets: exit code 1 and words."""
    for code in ("x = 1\0", "print('\ud800')", "[" * 10_000 + "]" * 10_000, "-" * 100_000 + "1"):
        result = python(sandbox, code)
        expect(result.exit_code not in (0, None) and result.stderr, f"a failure with words for {code!r:.20}", result)
        expect(not result.oom and not result.timed_out, "no other verdict", result)


def the_environment_is_scrubbed(sandbox: Sandbox) -> None:
    """No variable of this process is seen, and home and temporary files are in a place of the sandbox's own."""
    code = "import os, tempfile; print(*os.environ); print(os.path.expanduser('~')); tempfile.TemporaryFile()"
    result = python(sandbox, code)
    names, home = result.stdout.splitlines()
    expect(result.ok and not (set(names.split()) - _CLEAN) & set(os.environ), "a clean environment", result)
    expect(home != os.path.expanduser("~"), "a home of its own", home)


def standard_input_arrives_whole(sandbox: Sandbox) -> None:
    """8 MB read, 8 MB ignored, none at all, text that is not ASCII."""
    text = "0123456é" * 1_000_000
    count = "import sys; t = sys.stdin.read(); print(len(t), t[-1:])"
    expect_output(python(sandbox, count, stdin=text), "8000000 é\n")
    expect_output(python(sandbox, "print(1)", stdin=text), "1\n")
    expect_output(python(sandbox, count), "0 \n")


def output_is_decoded_and_cut(sandbox: Sandbox) -> None:
    """Both outputs apart, undecodable bytes replaced, too much cut without an error."""
    result = python(sandbox, r"import os; os.write(1, b'a\xff\xc3\xa9'); os.write(2, b'err')")
    expect((result.stdout, result.stderr) == ("a\ufffdé", "err"), "outputs decoded", result)
    expect(not result.truncated, "nothing cut", result)
    long = python(sandbox, "import sys; print('x' * 5_000_000); print('end', file=sys.stderr)")
    expect(long.ok and long.truncated and set(long.stdout) == {"x"}, "cut output", len(long.stdout))
    expect(long.stderr == "end\n", "the other output is whole", long.stderr)


def what_the_end_of_a_program_does_is_done(sandbox: Sandbox) -> None:
    """Threads are waited for, exit functions run, files left open are flushed."""
    code = (
        "import atexit, threading, time\n"
        "file = open('left_open', 'w'); file.write('flushed')\n"
        "atexit.register(print, 'at exit')\n"
        "threading.Thread(target=lambda: (time.sleep(0.05), print('thread'))).start()\n"
    )
    expect_output(python(sandbox, code), "thread\nat exit\n")
    expect(sandbox.read_file("left_open") == b"flushed", "the file left open")


def each_run_has_its_own_chance(sandbox: Sandbox) -> None:
    """`random` is seeded anew in every run."""
    code = "import random; print(random.random())"
    expect(python(sandbox, code).stdout != python(sandbox, code).stdout, "two different numbers")


def links_and_pipes_are_not_read(sandbox: Sandbox) -> None:
    """A planted symbolic link, hard link or FIFO is refused by the reader and replaced by the writer."""
    code = "import os; os.symlink('/etc', 'dir'); os.symlink('/etc/passwd', 'link'); os.mkfifo('fifo')"
    expect_output(python(sandbox, code + "; open('file', 'w'); os.link('file', 'hard')"), "")
    for path in ("link", "fifo", "hard", "dir/passwd"):
        expect_refusal(ValueError, sandbox.read_file, path)
    expect_refusal(ValueError, sandbox.write_file, "dir/new", b"")
    for path in ("link", "fifo", "hard"):
        sandbox.write_file(path, b"new")
        expect(sandbox.read_file(path) == b"new", "a file of its own")
    expect(sandbox.read_file("file") == b"", "the other name of the hard link is as it was")


PROGRAM_CHECKS: tuple[Check, ...] = (
    python_is_a_fresh_interpreter,
    a_script_runs_in_the_work_space,
    exit_codes_are_told,
    errors_read_as_the_interpreter_writes_them,
    a_source_nobody_can_compile_is_the_programs_failure,
    the_environment_is_scrubbed,
    standard_input_arrives_whole,
    output_is_decoded_and_cut,
    what_the_end_of_a_program_does_is_done,
    each_run_has_its_own_chance,
    links_and_pipes_are_not_read,
)
