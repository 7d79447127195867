"""Ctrl-C during training: the step in hand is finished, so that what was learned so far is kept whole."""

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While entered, the first Ctrl-C (or SIGTERM) is noted and told; the second raises `KeyboardInterrupt`.

    Belongs to the main thread, as signal handlers do. `asyncio.run` leaves a handler of ours in place.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        self.requested = False
        self._tell = tell
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        self._tell()
