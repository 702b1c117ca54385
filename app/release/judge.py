"""Whether the traffic since a switch is worse than before it: by tests, not by eye.

Two questions, each answered by an exact binomial test, so that a handful of requests convicts
nobody and noise that was there before does not count:

- **Errors**: are there more than what is borne? And where there were some before: given all answers
  5xx before and since, is the share of those since larger than its share of the requests explains?
- **Slowness**: are more than one in a hundred answers slower than the limit, which is a multiple of
  the p99 before? And is that so in every slice of the time since, not in one burst?
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from app.release.messages import TrafficSeen, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.release.inventory import Bake

CHANCE = 1e-4
"""A verdict that chance alone would give more often is none. It is asked some tens of times."""
_STEP = 1.1
_SHORTEST_S = 0.001
FEWEST_ERRORS = 3


def bucket(seconds: float) -> int:
    """The bucket of a duration: each reaches a tenth further than the one before; 0: 1 ms."""
    return max(0, math.ceil(math.log(max(seconds, _SHORTEST_S) / _SHORTEST_S, _STEP)))


def upper_s(number: int) -> float:
    """The longest duration of a bucket, in seconds."""
    return _SHORTEST_S * _STEP**number


def p99_s(window: Window) -> float:
    """The 99th percentile, to within a tenth; 0 where there were no requests."""
    wanted = math.ceil(0.99 * sum(window.durations.values()))
    seen = 0
    for number in sorted(window.durations):
        seen += window.durations[number]
        if seen >= wanted:
            return upper_s(number)
    return 0.0


def fault(seen: TrafficSeen, bake: Bake) -> str:
    """What is worse than before; empty: nothing that chance does not explain."""
    return _errors(seen, bake) or _slowness(seen, bake)


def together(hosts: Sequence[TrafficSeen]) -> TrafficSeen:
    """The traffic of several hosts as if it were one's."""
    slices = min((len(host.after) for host in hosts), default=0)
    return TrafficSeen(
        _sum([host.before for host in hosts]),
        [_sum([host.after[number] for host in hosts]) for number in range(slices)],
        max((host.seconds for host in hosts), default=0.0),
    )


def _errors(seen: TrafficSeen, bake: Bake) -> str:
    after, before = _sum(seen.after), seen.before
    if after.errors < FEWEST_ERRORS or after.errors <= bake.error_rate * after.requests:
        return ""
    # Compared with what is borne, and with what there was before, if that was more.
    beyond_borne = tail(after.errors, after.requests, bake.error_rate)
    share = after.requests / (after.requests + before.requests)
    beyond_before = tail(after.errors, after.errors + before.errors, share)
    if before.errors == 0:  # nothing excuses them, however little there was before
        beyond_before = 0.0
    if max(beyond_borne, beyond_before) >= CHANCE:
        return ""
    return (
        f"{after.errors} of {after.requests} requests were answered 5xx "
        f"({_percent(after)}; before: {_percent(before)})"
    )


def _slowness(seen: TrafficSeen, bake: Bake) -> str:
    if seen.before.requests == 0 or not seen.after:
        return ""
    limit_s = max(bake.slow_factor * p99_s(seen.before), bake.slow_floor_ms / 1000)
    limit = bucket(limit_s)
    for window in seen.after:
        slow = sum(count for number, count in window.durations.items() if number > limit)
        if tail(slow, window.requests, 0.01) >= CHANCE:
            return ""
    return (
        f"the p99 is {p99_s(_sum(seen.after)) * 1000:.0f} ms; before: "
        f"{p99_s(seen.before) * 1000:.0f} ms, borne: {limit_s * 1000:.0f} ms"
    )


def tail(successes: int, trials: int, chance: float) -> float:
    """The probability of at least so many successes, each trial succeeding by `chance`."""
    if successes <= 0:
        return 1.0
    if chance <= 0.0:
        return 0.0
    if chance >= 1.0:
        return 1.0
    total = 0.0
    for count in range(successes, trials + 1):
        term = math.exp(
            math.lgamma(trials + 1) - math.lgamma(count + 1) - math.lgamma(trials - count + 1)
            + count * math.log(chance) + (trials - count) * math.log1p(-chance)
        )  # fmt: skip
        total += term
        if count > trials * chance and term < total * 1e-12:
            break
    return min(1.0, total)


def _sum(windows: Sequence[Window]) -> Window:
    durations: dict[int, int] = {}
    for window in windows:
        for number, count in window.durations.items():
            durations[number] = durations.get(number, 0) + count
    return Window(
        sum(window.requests for window in windows), sum(window.errors for window in windows),
        durations,
    )  # fmt: skip


def _percent(window: Window) -> str:
    return f"{100 * window.errors / window.requests:.2f} %" if window.requests else "no requests"
