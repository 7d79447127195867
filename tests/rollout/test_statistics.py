"""The figure of success and its interval."""

import pytest

from rollout.statistics import success_figure, wilson_interval
from rollout.trajectory import StopReason, Trajectory


def outcome(reward: float | None, success: bool = False) -> Trajectory:
    return Trajectory("e", "t", {}, 0, 0, (), (), StopReason.ANSWERED, reward, success=success)


def test_the_interval_is_the_one_that_wilson_published() -> None:
    # 15 of 148, a standard worked example of the score interval (Newcombe 1998, method 3: 0.0624 to 0.1605).
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 256), (256, 256), (3, 7)])
def test_the_interval_lies_in_0_to_1_and_holds_the_share(successes: int, n: int) -> None:
    low, high = wilson_interval(successes, n)
    assert 0.0 <= low <= successes / n <= high <= 1.0


def test_unscored_episodes_are_left_out() -> None:
    figure = success_figure([outcome(1.0, True), outcome(0.5), outcome(None), outcome(None)])
    assert (figure["success"], figure["n"]) == (0.5, 2)
    assert figure["ci95"] == list(wilson_interval(1, 2))


def test_nothing_scored_says_nothing() -> None:
    assert success_figure([outcome(None)]) == {"success": 0.0, "ci95": [0.0, 1.0], "n": 0}


def test_more_successes_than_episodes_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"wilson_interval\(3, 2\)"):
        wilson_interval(3, 2)
