"""What happens in the forked child: limits, standard streams, then the program. Nothing here returns.

A Python program runs in the forked interpreter itself, which spares the 9 ms that a new one costs. It finds what
`python -I -c` would give it: an empty `__main__`, its own `sys.argv`, exit statuses and tracebacks of the usual form.
"""

import atexit
import builtins
import contextlib
import mmap
import os
import resource
import signal
import sys
import types
from collections.abc import Sequence
from typing import Any, NoReturn

READY, OUT_OF_MEMORY = 0, 1  # places in the shared memory
_CORES = os.cpu_count() or 1
INTERPRETER = (sys.executable, "-P", "-s", "-S")
"""The interpreter for what a forked one cannot do, `python -m` for instance."""


def become(
    argv: Sequence[str],
    streams: tuple[int, int, int],
    limits: Sequence[tuple[int, int]],
    timeout_s: float,
    notes: mmap.mmap,
) -> NoReturn:
    """Turn this forked child into the program. What fails before the program begins leaves `READY` unset.

    Args:
        argv: the command.
        streams: descriptors that become standard input, output and error.
        limits: resources and their limits.
        timeout_s: wall-clock seconds of the run.
        notes: memory shared with the launcher: that the program was begun, that it ran out of memory.
    """
    status = 70
    try:
        os.setsid()
        for place, descriptor in enumerate(streams):
            os.dup2(descriptor, place)
        os.closerange(3, 64)  # the launcher never holds more
        for kind, value in limits:
            resource.setrlimit(kind, (value, value))
        # Stands behind the wall clock, should the launcher die; of each process, on as many cores as there are.
        cpu_s = (int(timeout_s) + 2) * _CORES
        with contextlib.suppress(ValueError, OSError):  # a lower limit of the user's stays
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
        notes[READY] = 1
        status = _python(argv, notes) if _is_python(argv) else _execute(argv)
    finally:
        os._exit(status)


def _is_python(argv: Sequence[str]) -> bool:
    if argv[0] != "python" or len(argv) < 2:
        return False
    return len(argv) > 2 if argv[1] == "-c" else not argv[1].startswith("-")


def _execute(argv: Sequence[str]) -> int:
    # Python ignores SIGPIPE; another program expects to die of it.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if argv[0] == "python":
        argv = [*INTERPRETER, *argv[1:]]
    try:
        os.execvp(argv[0], list(argv))
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else str(error)
        _complain(f"{argv[0]}: {words}")
        return 127 if isinstance(error, FileNotFoundError) else 126


def _python(argv: Sequence[str], notes: mmap.mmap) -> int:
    arguments = list(argv[1:])
    if arguments[0] == "-c":
        source: str | bytes = arguments[1]
        filename, sys.argv[:] = "<string>", ["-c", *arguments[2:]]
    else:
        filename, sys.argv[:] = arguments[0], arguments
        try:
            with open(filename, "rb") as file:
                source = file.read()
        except (OSError, ValueError) as error:
            _complain(f"python: can't open file {filename!r}: {error}")
            return 2
    namespace = _fresh_main(filename if arguments[0] != "-c" else None)
    status = _run(source, filename, namespace, notes)
    return _finish(status, namespace)


def _fresh_main(file: str | None) -> dict[str, Any]:
    main = types.ModuleType("__main__")
    main.__dict__.update(__builtins__=builtins, __annotations__={})
    if file is not None:
        main.__file__ = file
    sys.modules["__main__"] = main
    return main.__dict__


def _run(source: str | bytes, filename: str, namespace: dict[str, Any], notes: mmap.mmap) -> int:
    try:
        exec(compile(source, filename, "exec", dont_inherit=True), namespace)
    except SystemExit as error:
        return _exit_status(error.code)
    except BaseException as error:
        # A parser that gives up on nesting says MemoryError too, but has no frame of the program.
        began = error.__traceback__ is not None and error.__traceback__.tb_next is not None
        notes[OUT_OF_MEMORY] = isinstance(error, MemoryError) and began
        trace = error.__traceback__.tb_next if error.__traceback__ is not None else None
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return 1
    return 0


def _exit_status(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    _complain(str(code))
    return 1


def _complain(words: str) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(words + "\n")
        sys.stderr.flush()


def _finish(status: int, namespace: dict[str, Any]) -> int:
    """Do what the interpreter does at its end, short of taking itself apart."""
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()  # waits for the program's threads, as the interpreter would
    atexit._run_exitfuncs()
    namespace.clear()  # closes the files it left open
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        status = status or 120  # as the interpreter does
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
    return status
