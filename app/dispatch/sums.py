"""Which totals a set of plants can deliver, each off or anywhere between its limits.

A set of totals is held as runs (closed intervals, sorted, apart) while they are few, and as the
bits of one integer after that: adding a plant is then a shift and an `or`, and a plant that can be
modulated widens every total by doubling. Both are exact; they differ only in speed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MOST_RUNS = 64


class Unit(NamedTuple):
    """What one plant can deliver: 0, or `low` to `high` steps (0 < high, low <= high)."""

    low: int
    high: int
    plant: int


class Sums:
    """The totals from 0 to `cap` that some plants can deliver together. Immutable."""

    __slots__ = ("_bits", "_runs", "cap")

    def __init__(self, cap: int, runs: list[tuple[int, int]] | None, bits: int = 0) -> None:
        self.cap = cap
        self._runs = runs
        self._bits = bits

    @classmethod
    def nothing(cls, cap: int) -> Sums:
        """Start from no plant at all: the only total is 0."""
        return cls(cap, [(0, 0)])

    @classmethod
    def of(cls, units: Iterable[Unit], cap: int) -> Sums:
        """Collect the totals up to `cap` of all the units."""
        sums = cls.nothing(cap)
        for low, high in blocks(units):
            sums = sums.plus(low, high)
        return sums

    def plus(self, low: int, high: int) -> Sums:
        """Add one plant."""
        if low > self.cap:
            return self
        if self._runs is not None:
            runs = _runs_plus(self._runs, low, high, self.cap)
            if len(runs) <= _MOST_RUNS:
                return Sums(self.cap, runs)
            bits = sum(((1 << (last - first + 1)) - 1) << first for first, last in runs)
            return Sums(self.cap, None, bits)
        bits = self._bits | _widened(self._bits, high - low) << low
        if bits.bit_length() > self.cap + 1:
            bits &= (1 << (self.cap + 1)) - 1
        return Sums(self.cap, None, bits)

    def __contains__(self, steps: int) -> bool:
        if self._runs is None:
            return steps >= 0 and bool(self._bits >> steps & 1)
        place = bisect_right(self._runs, (steps, self.cap)) - 1
        return place >= 0 and self._runs[place][1] >= steps

    def around(self, steps: int) -> tuple[int | None, int | None]:
        """Find the greatest total of at most `steps` and the least of at least `steps`."""
        if self._runs is None:
            below = (self._bits & ((1 << (steps + 1)) - 1)).bit_length() - 1 if steps >= 0 else -1
            higher = self._bits >> max(steps, 0)
            above = (higher & -higher).bit_length() - 1 + max(steps, 0) if higher else None
            return (below if below >= 0 else None), above
        place = bisect_right(self._runs, (steps, self.cap))
        if place and self._runs[place - 1][1] >= steps:
            return steps, steps
        return (
            self._runs[place - 1][1] if place else None,
            self._runs[place][0] if place < len(self._runs) else None,
        )

    def between(self, least: int, most: int) -> Iterator[int]:
        """Give the totals from `least` to `most`, in order."""
        if self._runs is not None:
            for first, last in self._runs:
                yield from range(max(first, least), min(last, most) + 1)
            return
        digits = bin(self._bits >> max(least, 0) & ((1 << max(most - max(least, 0) + 1, 0)) - 1))
        place = (digits := digits[:1:-1]).find("1")
        while place >= 0:
            yield max(least, 0) + place
            place = digits.find("1", place + 1)


def blocks(units: Iterable[Unit]) -> Iterable[tuple[int, int]]:
    """Merge identical plants into blocks of 1, 2, 4, ... plants that run together.

    The blocks' subsets run any number of those plants, so the totals are the same and there are
    only logarithmically many.
    """
    for (low, high), count in Counter((unit.low, unit.high) for unit in units).items():
        size, left = 1, count
        while left:
            size = min(size, left)
            yield low * size, high * size
            left -= size
            size *= 2


def _widened(bits: int, reach: int) -> int:
    """Add 0 to `reach` to every total."""
    done = 0
    while done < reach:
        step = min(done + 1, reach - done)
        bits |= bits << step
        done += step
    return bits


def _runs_plus(runs: list[tuple[int, int]], low: int, high: int, cap: int) -> list[tuple[int, int]]:
    moved = [(first + low, min(last + high, cap)) for first, last in runs if first + low <= cap]
    merged: list[tuple[int, int]] = []
    start, end = 0, -1
    for first, last in sorted(runs + moved):
        if first > end + 1:
            if end >= 0:
                merged.append((start, end))
            start, end = first, last
        elif last > end:
            end = last
    merged.append((start, end))
    return merged
