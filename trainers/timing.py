"""Wall-clock seconds of the parts of one optimiser step."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import TrainerCallback


class Stopwatch:
    """Adds up seconds by part. What is timed within another part is not counted for that one too."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._within: list[float] = []

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the seconds of a block to `part`."""
        started = time.perf_counter()
        self._within.append(0.0)
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            self._seconds[part] += spent - self._within.pop()
            if self._within:
                self._within[-1] += spent

    def take(self) -> dict[str, float]:
        """Return the seconds since the last call, by part, and begin anew."""
        taken = dict(self._seconds)
        self._seconds.clear()
        return taken


class OptimiserClock(TrainerCallback):
    """Appends the seconds of each optimiser step, which transformers runs, to `metrics["seconds/optimiser"]`."""

    def __init__(self, metrics: dict[str, list[float]]) -> None:
        self._metrics = metrics
        self._started = 0.0

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_optimizer_step(self, *_: Any, **__: Any) -> None:
        """Stop the clock."""
        self._metrics["seconds/optimiser"].append(time.perf_counter() - self._started)
