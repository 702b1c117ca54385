"""Divide a level's total among its plants: the lexicographically greatest outputs.

All plants of a level cost the same, so any division is as cheap; the rule is that the plants given
first deliver as much as they can.

Guarantee: the result is the lexicographically greatest vector of outputs, in the order given, that
adds up to the total. Output by output, the greatest is taken that leaves a remainder which the
plants after it can deliver. If the first n plants can all be at their greatest output, so can the
first n - 1 (plant n's greatest output is part of the remainder), so the run of plants at their
greatest output is found from its far end, where remainders are small and their sums cheap.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

from app.dispatch.sums import Sums
from app.dispatch.trail import Trail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.dispatch.sums import Unit

# With fewer plants the set of totals is as cheap as the attempt to divide one.
_MANY = 64


def share(units: Sequence[Unit], total: int, *, within: int | None = None) -> list[int] | None:
    """Find the greatest outputs that add up to `total`, or None if there are none.

    With `within`, only runs of full plants that leave at most so much are tried: None then means
    "not found", at a bounded price.
    """
    if len(units) == 2:
        return _share_of_two(units[0], units[1], total)
    highs = [unit.high for unit in units]
    full = [0, *accumulate(highs)]
    if total == full[-1]:
        return highs
    last = bisect_right(full, total) - 1
    tried = last + 1
    first = last
    while True:
        rest = total - full[first]
        after = _sums_after(units[first:], rest)
        for count in range(tried - 1, first - 1, -1):
            if total - full[count] in after[count - first]:
                tail = _greedy(units[count:], total - full[count], after, count - first)
                return highs[:count] + tail
        if first == 0 or (within is not None and rest >= within):
            return None
        tried = first
        while first and total - full[first] < 2 * rest + units[first - 1].high:
            first -= 1


def _share_of_two(first: Unit, second: Unit, total: int) -> list[int] | None:
    """Divide without a set of totals: the commonest case, by looking at the second's choices."""
    if first.low <= total <= first.high:
        return [total, 0]
    steps = min(first.high, total - second.low)
    if steps >= first.low and total - steps <= second.high:
        return [steps, total - steps]
    return [0, total] if not total or second.low <= total <= second.high else None


def is_easy(units: Sequence[Unit], total: int) -> bool:
    """Tell whether a total is certainly possible; False means that this cannot tell."""
    if len(units) < _MANY or not 0 <= total <= sum(unit.high for unit in units):
        return False
    return share(units, total, within=2 * max(unit.high for unit in units)) is not None


def _sums_after(units: Sequence[Unit], cap: int) -> Trail[Sums]:
    """Give, for each place, the totals up to `cap` of the units from there on."""

    def with_unit(index: int, sums: Sums) -> Sums:
        return sums.plus(units[index].low, units[index].high)

    return Trail(Sums.nothing(cap), len(units), with_unit, cap // 8 + 200)


def _greedy(units: Sequence[Unit], rest: int, after: Trail[Sums], offset: int) -> list[int]:
    """Take the greatest output of each unit in turn; `rest` is known to be a total of them."""
    outputs = []
    for index, unit in enumerate(units):
        steps = 0
        if rest >= unit.low:
            left = after[offset + index + 1].around(max(rest - unit.high, 0))[1]
            if left is not None and rest - left >= unit.low:
                steps = rest - left
        outputs.append(steps)
        rest -= steps
    return outputs
