"""Fair comparison of ways to do the same work: turns in random order, and ratios with an interval.

A machine's speed changes from second to second. So every way does each piece of work right after
the others, in an order drawn anew for each piece, and what is compared is the pair, not two runs
minutes apart. An interval resamples the pieces of work, each with all of its times.

CPU time is taken beside elapsed time. On a busy machine a long piece of work waits for the CPU
while a short one slips through, so that elapsed times flatter what is short; CPU times do not.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

_CONFIDENCE = 0.95
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Turn:
    """One piece of work done in one way.

    Attributes:
        cpu_s: CPU time of this process, all threads together.
        elapsed_s: time by the clock.
        outcome: what came of it.
    """

    cpu_s: float
    elapsed_s: float
    outcome: Any


@dataclass(frozen=True, slots=True)
class Summary:
    """Times of one way, in seconds.

    Attributes:
        count: how many pieces of work.
        p99_s: the 99th percentile, interpolated; with less than a hundred times, near the slowest.
    """

    count: int
    median_s: float
    p99_s: float
    slowest_s: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as long one way takes as another: of their medians.

    Attributes:
        low: lower end of the 95 % interval by the bootstrap over pairs.
        high: its upper end.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} ({self.low:.3g} to {self.high:.3g})"


def settle() -> None:
    """Take what is loaded by now out of the collector's sight, as the service does before it forks.

    Otherwise Python walks through the libraries of the benchmark now and then, tens of milliseconds
    each time, in the turn of whichever way happens to allocate just then.
    """
    gc.collect()
    gc.freeze()


def take_turns(ways: Mapping[str, Callable[[], Any]], rng: random.Random) -> dict[str, Turn]:
    """Do one piece of work in every way, once each, in random order."""
    return {
        name: turns[0]
        for name, turns in take_blocks({name: [work] for name, work in ways.items()}, rng).items()
    }


def take_blocks(
    ways: Mapping[str, Sequence[Callable[[], Any]]], rng: random.Random
) -> dict[str, list[Turn]]:
    """Do the same pieces of work in every way: a way does all of them, then comes the next.

    The first piece of a block finds the caches full of another way's code and data; the pieces
    after it find them as in a process that does this work all day. The order of ways is random.
    """
    order = list(ways)
    rng.shuffle(order)
    return {name: [_timed(work) for work in ways[name]] for name in order}


def _timed(work: Callable[[], Any]) -> Turn:
    begun, begun_cpu = time.perf_counter(), time.process_time()
    outcome = work()
    ended_cpu, ended = time.process_time(), time.perf_counter()
    return Turn(ended_cpu - begun_cpu, ended - begun, outcome)


def summarise(seconds: Sequence[float]) -> Summary:
    """Median, 99th percentile and slowest of at least one time."""
    median, p99, slowest = np.percentile(seconds, [50, 99, 100])
    return Summary(len(seconds), float(median), float(p99), float(slowest))


def ratio(slower: Sequence[float], faster: Sequence[float], seed: int) -> Ratio:
    """Ratio of the medians of paired times, with its interval.

    Args:
        slower: seconds of one way.
        faster: seconds of the other, in the same order of work.
        seed: of the resampling; equal seeds give equal intervals.

    Raises:
        ValueError: the times are not pairs, or less than two.
    """
    if len(slower) != len(faster) or len(slower) < 2:
        raise ValueError("a ratio takes at least two times of each way, in pairs")
    pairs = np.asarray(slower, dtype=float), np.asarray(faster, dtype=float)
    value = float(_of_medians(*pairs))
    if np.ptp(pairs[0]) == 0 and np.ptp(pairs[1]) == 0:
        return Ratio(value, value, value)  # nothing varies, which the bootstrap calls degenerate
    found = stats.bootstrap(
        pairs,
        _of_medians,
        paired=True,
        vectorized=True,
        n_resamples=_RESAMPLES,
        confidence_level=_CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    interval = found.confidence_interval
    return Ratio(value, float(interval.low), float(interval.high))


def _of_medians(
    slower: NDArray[np.float64], faster: NDArray[np.float64], axis: int = -1
) -> NDArray[np.float64]:
    quotient: NDArray[np.float64] = np.median(slower, axis=axis) / np.median(faster, axis=axis)
    return quotient
