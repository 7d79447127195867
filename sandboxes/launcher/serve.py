"""The launcher's loop: take a job from the control socket, run it, answer; end when the owner has gone."""

import builtins
import gc
import importlib
import mmap
import os
import resource
import socket
import sys
import warnings
from typing import Any

from sandboxes.launcher.processes import adopt_orphans
from sandboxes.launcher.supervise import AbandonedError, Host, Run, UndeadError
from sandboxes.wire import receive, send
from sandboxes.workspace import Workspace

_PRELOADED = (
    "_sitebuiltins", "bisect", "collections", "copy", "functools", "heapq", "itertools", "json", "math", "operator",
    "re", "string", "typing",
)  # fmt: skip
"""Modules that programs often import. `random` is not among them: it would reseed itself in every fork."""
_OPEN_FILES = 256


def serve(descriptor: int) -> None:
    """Serve the control socket `descriptor` until its other end closes, then remove the work space."""
    control = socket.socket(fileno=descriptor)
    opening = receive(control)
    if opening is None:
        return
    settings = opening[0]
    workspace = Workspace(settings["folder"])
    try:
        workspace.enter()
        host = _host(control.fileno(), settings)
        _become_plain()
        send(control, {"ready": True})
        while (frame := receive(control)) is not None:
            send(control, *_answer(host, *frame))
    except (AbandonedError, ConnectionError):
        pass
    finally:
        workspace.remove()


def _answer(host: Host, job: dict[str, Any], stdin: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        run = Run(host, job["argv"], stdin, job["timeout_s"])
        run.finish()
    except UndeadError:
        return {"error": "a process of the program could not be killed"}, b""
    except OSError as error:
        return {"error": f"{type(error).__name__}: {error}"}, b""
    if not (run.began or run.timed_out):
        return {"error": "the program could not be begun"}, b""
    header = {
        "exit_code": run.exit_code,
        "seconds": run.seconds,
        "timed_out": run.timed_out,
        "truncated": run.stdout.truncated or run.stderr.truncated,
        "oom": run.oom,
        "stdout_bytes": len(run.stdout.kept),
    }
    return header, bytes(run.stdout.kept + run.stderr.kept)


def _host(control: int, settings: dict[str, Any]) -> Host:
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_FSIZE: settings["file_mb"] << 20,
    }
    if sys.platform != "darwin":  # macOS reserves hundreds of gigabytes for every process and refuses a lower limit
        wanted[resource.RLIMIT_AS] = settings["memory_mb"] << 20
    limits = [(kind, _at_most_hard(kind, value)) for kind, value in wanted.items()]
    null = os.open(os.devnull, os.O_RDWR)
    return Host(control, null, mmap.mmap(-1, 2), limits, settings["output_bytes"], settings["processes"])


def _at_most_hard(kind: int, value: int) -> int:
    hard = resource.getrlimit(kind)[1]
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def _become_plain() -> None:
    """Make this interpreter what a program expects to find, and cheap to fork."""
    adopt_orphans()
    for name in _PRELOADED:
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.partition(".")[0] == "sandboxes"]:
        del sys.modules[name]
    quitter = importlib.import_module("_sitebuiltins").Quitter
    for word in ("exit", "quit"):  # `site` would set them; programs use them
        setattr(builtins, word, quitter(word, "Ctrl-D (i.e. EOF)"))
    os.environ.pop("PYTHONHASHSEED", None)
    os.umask(0o077)
    sys.dont_write_bytecode = True
    warnings.simplefilter("ignore", SyntaxWarning)
    # The first compilation builds the compiler's tables: 1 ms that no program should pay.
    exec(compile("print(end='')", "<string>", "exec"), {})
    # A collection in a forked child would touch, and so copy, every page of the objects that are there already.
    gc.collect()
    gc.freeze()
