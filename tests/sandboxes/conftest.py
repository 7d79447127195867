import contextlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandboxes import close_pools
from sandboxes.process import ProcessSandbox


@pytest.fixture
def sandbox() -> Iterator[ProcessSandbox]:
    with contextlib.closing(ProcessSandbox()) as opened:
        yield opened


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which sandboxes make theirs, empty at first."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def pools() -> Iterator[None]:
    """The process-wide pools, closed at the end."""
    yield
    close_pools()


@pytest.fixture
def alive() -> Callable[[int], bool]:
    """Whether a process lives; a zombie does not."""

    def ask(pid: int) -> bool:
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
        return bool(state) and not state.startswith("Z")

    return ask


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], None]:
    """Wait until something is true."""

    def wait(true: Callable[[], object]) -> None:
        end = time.monotonic() + 20
        while not true():
            assert time.monotonic() < end, "it did not become true"
            time.sleep(0.01)

    return wait
