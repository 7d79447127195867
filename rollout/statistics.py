"""The figure of success that evaluations report."""

import math
from collections.abc import Iterable, Sequence
from typing import TypedDict

from rollout.trajectory import Trajectory

_Z95 = 1.959963984540054  # the 97.5% quantile of the standard normal distribution


class Figure(TypedDict):
    """A share with its interval."""

    success: float
    """Share of the scored episodes that succeeded; 0.0 where there is none."""
    ci95: list[float]
    """Lower and upper end of the 95% interval."""
    n: int
    """Scored episodes."""


def success_figure(trajectories: Iterable[Trajectory]) -> Figure:
    """Return the share of scored episodes that succeeded. Unscored ones are left out: count them apart.

    The interval takes episodes as independent: several samples of one task make it too narrow.
    """
    outcomes = [trajectory.success for trajectory in trajectories if trajectory.scored]
    low, high = wilson_interval(sum(outcomes), len(outcomes))
    return {"success": _mean(outcomes), "ci95": [low, high], "n": len(outcomes)}


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Return the 95% score interval of a share (Wilson 1927): inside [0, 1], and [0, 1] itself for `n` = 0.

    Raises:
        ValueError: `successes` is not between 0 and `n`.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"wilson_interval({successes}, {n}): successes lie between 0 and n")
    if n == 0:
        return 0.0, 1.0
    share, z2 = successes / n, _Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # The ends are exact where every episode agrees; rounding would leave them off by 1e-17.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return low, high


def _mean(outcomes: Sequence[bool]) -> float:
    return sum(outcomes) / len(outcomes) if outcomes else 0.0
