import time

import pytest

from trainers.timing import Stopwatch


def test_seconds_within_a_part_are_not_counted_twice(monkeypatch):
    ticks = iter([0.0, 1.0, 4.0, 10.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    watch = Stopwatch()
    with watch.timed("outer"), watch.timed("inner"):
        pass
    assert watch.take() == {"inner": 3.0, "outer": 7.0}


def test_a_part_that_fails_is_timed_and_taking_begins_anew():
    watch = Stopwatch()
    with pytest.raises(KeyError), watch.timed("failing"):
        raise KeyError
    assert watch.take().keys() == {"failing"}
    assert watch.take() == {}
