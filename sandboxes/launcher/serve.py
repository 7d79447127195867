"""The launcher's loop: take a job from the control socket, run it, answer; end when the owner has gone."""

import builtins
import gc
import importlib
import os
import resource
import signal
import socket
import sys
import traceback
import warnings
from typing import Any

from sandboxes.launcher.processes import adopt_orphans
from sandboxes.launcher.supervise import AbandonedError, Host, Run, UndeadError
from sandboxes.wire import receive, send
from sandboxes.workspace import Workspace

_PRELOADED = (
    "_sitebuiltins", "bisect", "collections", "copy", "functools", "heapq", "itertools", "json", "math", "operator",
    "random", "re", "string", "typing",
)  # fmt: skip
"""Modules that programs often import. Each costs every fork a little; `random` reseeds itself in a fork."""
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
        host = Host(control.fileno(), _wakeup(), settings)
        _become_plain()
        send(control, {"ready": True})
        while (frame := receive(control)) is not None:
            send(control, *_answer(host, workspace, *frame))
    except (AbandonedError, ConnectionError):
        pass
    finally:
        workspace.remove()


def _answer(host: Host, workspace: Workspace, job: dict[str, Any], stdin: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        workspace.enter()
        return Run(host, job["argv"], stdin, job["timeout_s"]).finish()
    except UndeadError:
        return {"error": "a process of the program could not be killed"}, b""
    except OSError:
        return {"error": traceback.format_exc()}, b""


def _wakeup() -> int:
    """Return a descriptor that becomes readable when a child's state has changed."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reader


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
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    sys.dont_write_bytecode = True
    warnings.simplefilter("ignore", SyntaxWarning)
    # A collection in a forked child would touch, and so copy, every page of the objects that are there already.
    gc.collect()
    gc.freeze()
    gc.disable()
