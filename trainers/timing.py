"""Wall-clock seconds of the optimiser, which `transformers.Trainer` calls on its own."""

import time
from typing import Any

from transformers import TrainerCallback


class OptimiserClock(TrainerCallback):
    """Appends the seconds of every optimiser step to `metrics["seconds/optimiser"]`."""

    def __init__(self, metrics: dict[str, list[float]]) -> None:
        self._metrics = metrics
        self._started = 0.0

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_optimizer_step(self, *_: Any, **__: Any) -> None:
        """Stop the clock."""
        self._metrics["seconds/optimiser"].append(time.perf_counter() - self._started)
