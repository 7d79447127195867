"""The order in which tasks are trained on."""

from collections.abc import Callable, Iterator, Sized
from typing import Any

from trl.trainer.utils import RepeatSampler

from rollout.trajectory import derive_seed


class EpochSampler(RepeatSampler):
    """TRL's sampler of groups, with an order for each epoch that depends on nothing but seed and epoch.

    TRL 1.16's own draws the orders one after the other, so that a run resumed in its second epoch would begin with the
    first order again.
    """

    def __init__(self, tasks: Sized, *, seed: int, epoch: Callable[[], int], **shape: Any) -> None:
        super().__init__(tasks, seed=seed, **shape)
        self._seed, self._epoch = seed, epoch

    def __iter__(self) -> Iterator[int]:
        if self.shuffle:
            self.generator.manual_seed(derive_seed(self._seed, "order", self._epoch()))
        yield from super().__iter__()  # type: ignore[no-untyped-call]  # TRL's has no types
