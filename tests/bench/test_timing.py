"""Turns, medians and spreads, on a clock of the test's own."""

import pytest

from elman.bench import Effort
from elman.bench.timing import alternate, median, ratio, spread


class Clock:
    """Stands still but while a call is made."""

    def __init__(self):
        self.now = 0.0
        self.order = []

    def __call__(self):
        return self.now

    def call(self, name, seconds):
        def run():
            self.now += seconds
            self.order.append(name)

        return run


def test_each_sample_is_the_time_of_a_call():
    clock = Clock()
    calls = {"slow": clock.call("slow", 0.25), "quick": clock.call("quick", 0.125)}
    samples = alternate(calls, Effort(rounds=3, seconds=0.0, sample=1e-3), clock)
    assert samples == {"slow": [0.25] * 3, "quick": [0.125] * 3}


def test_the_order_alternates():
    clock = Clock()
    calls = {name: clock.call(name, 1.0) for name in "abc"}
    alternate(calls, Effort(rounds=3, seconds=0.0), clock)
    assert "".join(clock.order) == "aabbcc" + "abc" + "cba" + "abc"


def test_what_is_short_is_called_once_before_its_sample():
    clock = Clock()
    calls = {name: clock.call(name, 0.01) for name in "ab"}
    alternate(calls, Effort(rounds=2, seconds=0.0), clock)
    assert "".join(clock.order) == "aabb" + "aabb" + "bbaa"


def test_short_calls_are_repeated_in_a_sample():
    clock = Clock()
    samples = alternate({"a": clock.call("a", 2**-12)}, Effort(2, 0.0, 2**-8), clock)
    assert samples == {"a": [2**-12] * 2}
    assert len(clock.order) == 4 + 2 * (1 + 16)


def test_it_goes_on_until_both_rounds_and_seconds_are_over():
    clock = Clock()
    samples = alternate({"a": clock.call("a", 0.5)}, Effort(rounds=2, seconds=5.0), clock)
    assert len(samples["a"]) == 10


def test_figures():
    assert median([3.0, 1.0, 2.0, 10.0]) == 2.5
    assert spread([0.0, 4.0, 1.0, 3.0, 2.0]) == 2.0
    assert spread([1.0]) == 0.0
    assert ratio([2.0, 2.0, 50.0], [5.0, 1.0, 6.0]) == pytest.approx(2.5)
