"""Sandboxes on loan: one pool per configuration, shared by all threads of the process.

A sandbox is opened when first needed, reset when it comes back, and replaced when it failed. Who asks first is served
first. A forked child begins with no pools; the parent's sandboxes stay the parent's.
"""

import atexit
import contextlib
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sandboxes.backends import open_sandbox
from sandboxes.base import Sandbox
from sandboxes.config import SandboxConfig
from sandboxes.errors import SandboxError

_log = logging.getLogger("toolgym.sandboxes")


class _Ticket:
    """A place in the queue: filled with a sandbox, or with the right to open one."""

    def __init__(self) -> None:
        self.called = threading.Event()
        self.sandbox: Sandbox | None = None


class SandboxPool:
    """At most `slots` sandboxes of one configuration. Thread-safe."""

    def __init__(self, config: SandboxConfig, opener: Callable[[SandboxConfig], Sandbox] = open_sandbox) -> None:
        self._config = config
        self._opener = opener
        self._lock = threading.Lock()
        self._idle: list[Sandbox] = []
        self._queue: deque[_Ticket] = deque()
        self._slots = 0
        self._closed = False

    @contextlib.contextmanager
    def lease(self, *, timeout_s: float = 60.0) -> Iterator[Sandbox]:
        """Lend a clean sandbox, waiting at most `timeout_s` seconds for a free one.

        Raises:
            SandboxError: none came free, or none could be opened.
        """
        sandbox = self._take(timeout_s)
        healthy = False
        try:
            yield sandbox
            healthy = True
        except SandboxError:
            raise
        except BaseException:
            healthy = True  # the borrower's fault; `reset` tells whether the sandbox suffered
            raise
        finally:
            self._give(sandbox if healthy else None, failed=None if healthy else sandbox)

    @property
    def waiting(self) -> int:
        """How many wait for a sandbox."""
        return len(self._queue)

    def close(self) -> None:
        """Close what is idle; what is on loan is closed when it comes back. Nothing is lent any more."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            self._slots -= len(idle)
        for sandbox in idle:
            _close(sandbox)

    def _take(self, timeout_s: float) -> Sandbox:
        ticket = _Ticket()
        with self._lock:
            if self._closed:
                raise SandboxError("the sandbox pool is closed")
            if self._idle:
                return self._idle.pop()
            if self._slots < self._config.slots:
                self._slots += 1
                ticket.called.set()
            else:
                self._queue.append(ticket)
        if not ticket.called.wait(timeout_s) and self._left_queue(ticket):
            raise SandboxError(f"no sandbox came free within {timeout_s} s: all {self._config.slots} slots are on loan")
        return ticket.sandbox if ticket.sandbox is not None else self._open()

    def _left_queue(self, ticket: _Ticket) -> bool:
        """Give up waiting; False if the ticket was called at the last moment."""
        with self._lock:
            if ticket.called.is_set():
                return False
            self._queue.remove(ticket)
            return True

    def _open(self) -> Sandbox:
        try:
            return self._opener(self._config)
        except BaseException:
            self._pass_on(None)
            raise

    def _give(self, sandbox: Sandbox | None, failed: Sandbox | None) -> None:
        if sandbox is not None:
            try:
                sandbox.reset()
            except SandboxError as error:
                _log.warning("a sandbox is replaced: %s", error)
                sandbox, failed = None, sandbox
        if failed is not None:
            _close(failed)
        self._pass_on(sandbox)

    def _pass_on(self, sandbox: Sandbox | None) -> None:
        """Hand a sandbox, or the right to open one, to who has waited longest."""
        with self._lock:
            if self._queue:
                ticket = self._queue.popleft()
                ticket.sandbox = sandbox
                ticket.called.set()
                return
            if sandbox is not None and not self._closed:
                self._idle.append(sandbox)
                return
            self._slots -= 1
        if sandbox is not None:
            _close(sandbox)


_pools: dict[SandboxConfig, SandboxPool] = {}
_pools_lock = threading.Lock()
_watching = False


@contextlib.contextmanager
def lease(options: Mapping[str, Any], *, timeout_s: float = 60.0) -> Iterator[Sandbox]:
    """Lend a clean sandbox of the process-wide pool for these `SandboxConfig` fields. Thread-safe, first come first.

    It is reset and goes back at the end of the `with` block, and is replaced if it failed.

    Raises:
        UsageError: no backend has that id.
        pydantic.ValidationError: an option is unknown or out of its range.
        SandboxError: none came free within `timeout_s` seconds, or none could be opened.
    """
    with _pool(SandboxConfig(**options)).lease(timeout_s=timeout_s) as sandbox:
        yield sandbox


def close_pools() -> None:
    """Close every pool of this process. A later `lease` opens new ones. Called at the interpreter's exit."""
    with _pools_lock:
        pools = list(_pools.values())
        _pools.clear()
    for pool in pools:
        pool.close()


def _pool(config: SandboxConfig) -> SandboxPool:
    global _watching
    with _pools_lock:
        if not _watching:
            _watching = True
            atexit.register(close_pools)
            os.register_at_fork(after_in_child=_forget)
        if config not in _pools:
            _pools[config] = SandboxPool(config)
        return _pools[config]


def _forget() -> None:
    """In a forked child: the pools are the parent's, and a lock may be held by a thread that is not here."""
    global _pools_lock
    _pools_lock = threading.Lock()
    _pools.clear()


def _close(sandbox: Sandbox) -> None:
    try:
        sandbox.close()
    except SandboxError as error:
        _log.warning("a sandbox did not close: %s", error)
