"""Turn by turn: every contestant once a round, so that what disturbs one disturbs all."""

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_LONG = 0.05  # seconds of a call beside which what came before it is nothing


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: the fewest samples of each contestant. Default: 7.
        seconds: that the rounds of one pass last at least. Default: 2.
        sample: seconds that a sample lasts at least; shorter calls are repeated in it.
            Default: 0.001.
    """

    rounds: int = 7
    seconds: float = 2.0
    sample: float = 1e-3


def alternate(
    calls: Mapping[str, Callable[[], object]],
    effort: Effort,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time calls in rounds, in the given order and the reverse of it by turns.

    What is short is called once before its sample, unmeasured: caches are its own then, and the
    threads of the one before it have come to rest.

    Args:
        calls: what to time, by name.
        effort: how long.
        clock: in seconds; for the tests.

    Returns:
        Seconds a call, of each sample.
    """
    once = {name: _once(call, effort.sample, clock) for name, call in calls.items()}
    inner = {name: max(1, math.ceil(effort.sample / once[name])) for name in calls}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    order, began = list(calls), clock()
    collecting = gc.isenabled()
    gc.disable()
    try:
        done = 0
        while done < effort.rounds or clock() - began < effort.seconds:
            for name in order:
                if once[name] < _LONG:
                    calls[name]()
                samples[name].append(_sample(calls[name], inner[name], clock))
            order.reverse()
            done += 1
            gc.collect(0)
    finally:
        if collecting:
            gc.enable()
    return samples


def _sample(call: Callable[[], object], count: int, clock: Callable[[], float]) -> float:
    began = clock()
    for _ in range(count):
        call()
    return (clock() - began) / count


def _once(call: Callable[[], object], sample: float, clock: Callable[[], float]) -> float:
    """Seconds of a call after a first; the least of three where it is short."""
    call()
    once = _sample(call, 1, clock)
    if once < sample:
        once = min(once, _sample(call, 1, clock), _sample(call, 1, clock))
    return max(once, 1e-9)


def median(samples: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(samples)


def spread(samples: Sequence[float]) -> float:
    """The interquartile range: the middle half of the samples lies within so much.

    >>> spread([1.0, 2.0, 3.0, 4.0, 5.0])
    2.0
    """
    if len(samples) < 2:
        return 0.0
    low, _, high = statistics.quantiles(samples, n=4, method="inclusive")
    return high - low


def ratio(ours: Sequence[float], rival: Sequence[float]) -> float:
    """How many times as fast: the rival's median over ours.

    >>> ratio([1.0, 1.0, 9.0], [3.0, 2.0, 4.0])
    3.0
    """
    return median(rival) / median(ours)
