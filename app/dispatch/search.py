"""Branch and bound over the totals of the levels, best first.

See EXACTNESS.md for the argument; in short:

* A node is a box: for each level, totals from `low` to `high`, both of which it can deliver. Its
  cheapest fill (levels at `high`, then one marginal level in between, then levels at `low`) is
  unique, since the levels' costs differ, and bounds the cost of every plan inside.
* Only the marginal level can hold a total that it cannot deliver. Its nearest totals below and
  above split the box; nothing deliverable is lost.
* A box whose bound equals the cost of a known plan holds no other plan of that cost but its own
  fill. So equal costs never have to be explored.
"""

from __future__ import annotations

from heapq import heappop, heappush
from math import gcd, lcm
from typing import TYPE_CHECKING, NamedTuple

from app.dispatch.merit import KEY_BITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.dispatch.merit import Level

# low and high of the levels that a node has split, by their place
Splits = dict[int, tuple[int, int]]


class Node(NamedTuple):
    """A box and its cheapest fill.

    Attributes:
        loss: cost of the fill over that of the root's, in the scale's units.
        order: breaks ties in the heap.
        marginal: the level that is partly used.
        steps: what that level delivers.
        splits: the levels whose totals are limited.
    """

    loss: int
    order: int
    marginal: int
    steps: int
    splits: Splits


class Scale:
    """Exact integer costs of some levels, relative to one of them.

    A rate of 1 is `numerator / denominator` euro per MWh.
    """

    def __init__(self, levels: Sequence[Level], origin: Level) -> None:
        costs = [level.cost for level in levels]
        numerator, scale = origin.cost
        denominator = lcm(scale, *[cost[1] for cost in costs])
        base = numerator * (denominator // scale)
        rates = [above * (denominator // below) - base for above, below in costs]
        self.numerator = gcd(*rates) or 1
        self.denominator = denominator
        self.rates = [rate // self.numerator for rate in rates]


def marginal_of(levels: Sequence[Level], load: int) -> tuple[int, int]:
    """Find the level at which a fill in merit order meets the load, and what is left for it."""
    for place, level in enumerate(levels):
        if load <= level.total:
            return place, load
        load -= level.total
    raise AssertionError("the load is greater than all levels together")


class Search:
    """Explores the boxes of the levels from `first` to `last`; the others stay as they are."""

    def __init__(self, levels: Sequence[Level], origin: int, steps: int, reach: int) -> None:
        self._levels = levels
        first = max(origin - reach, 0)
        last = min(origin + reach, len(levels) - 1)
        self._scale = Scale(levels[first : last + 1], levels[origin])
        self._first = first
        self._rates = self._scale.rates
        self._highs = [level.total for level in levels[first : last + 1]]
        self._origin = origin - first
        self._whole = first == 0, last == len(levels) - 1
        self._heap: list[Node] = []
        self._best: Node | None = None
        self._best_totals: list[int] = []
        self._escaped: int | None = None  # least bound of the boxes that left the window
        self._made = 0
        self._visit(0, self._origin, steps, {})

    def run(self, most_nodes: int) -> None:
        """Explore until nothing better can be left, or `most_nodes` were made."""
        heap = self._heap
        while not self.finished and self._made < most_nodes:
            self._split(heappop(heap))

    @property
    def finished(self) -> bool:
        """Tell whether no box is left that could hold a better plan."""
        heap, best = self._heap, self._best
        return not heap or (best is not None and heap[0].loss >= best.loss)

    @property
    def complete(self) -> bool:
        """Tell whether no box left the window that could have held a better plan."""
        best = self._best
        return self._escaped is None or (best is not None and best.loss <= self._escaped)

    @property
    def proven(self) -> bool:
        """Tell whether the best plan is the optimum, or, without one, that there is none."""
        return self.finished and self.complete

    def totals(self) -> list[int] | None:
        """Give the best plan found, as the total of every level."""
        if self._best is None:
            return None
        cheaper = [level.total for level in self._levels[: self._first]]
        dearer = len(self._levels) - self._first - len(self._highs)
        return cheaper + self._best_totals + [0] * dearer

    def loss_in_key_units(self) -> int | None:
        """Give an upper bound on the best plan's loss, in units of `Level.key`."""
        if self._best is None:
            return None
        loss = (self._best.loss * self._scale.numerator) << KEY_BITS
        return -(-loss // self._scale.denominator)

    def _split(self, node: Node) -> None:
        """Exclude the totals around the marginal level's, which it cannot deliver."""
        loss, _, place, steps, splits = node
        below, above = self._levels[self._first + place].around(steps)
        low, high = splits.get(place, (0, self._highs[place]))
        self._raise_others(loss, place, steps - below, {**splits, place: (low, below)})
        self._lower_others(loss, place, above - steps, {**splits, place: (above, high)})

    def _raise_others(self, loss: int, place: int, missing: int, splits: Splits) -> None:
        """Let dearer levels deliver what the level at `place` no longer may."""
        rates, highs = self._rates, self._highs
        loss -= missing * rates[place]
        for other in range(place + 1, len(rates)):
            low, high = splits.get(other) or (0, highs[other])
            if missing <= high - low:
                self._visit(loss + missing * rates[other], other, low + missing, splits)
                return
            loss += (high - low) * rates[other]
            missing -= high - low
        if not self._whole[1]:
            self._escape(loss + missing * rates[-1])

    def _lower_others(self, loss: int, place: int, excess: int, splits: Splits) -> None:
        """Take back from cheaper levels what the level at `place` now has to deliver."""
        rates, highs = self._rates, self._highs
        loss += excess * rates[place]
        for other in range(place - 1, -1, -1):
            low, high = splits.get(other) or (0, highs[other])
            if excess <= high - low:
                self._visit(loss - excess * rates[other], other, high - excess, splits)
                return
            loss -= (high - low) * rates[other]
            excess -= high - low
        if not self._whole[0]:
            self._escape(loss - excess * rates[0])

    def _visit(self, loss: int, place: int, steps: int, splits: Splits) -> None:
        """Keep a box if it can matter; its fill is a plan when the marginal total is possible."""
        best = self._best
        if best is not None and loss > best.loss:
            return
        self._made += 1
        node = Node(loss, self._made, place, steps, splits)
        if self._levels[self._first + place].around(steps)[0] != steps:
            if best is None or loss < best.loss:
                heappush(self._heap, node)
            return
        totals = self._totals(node)
        if best is None or loss < best.loss or totals > self._best_totals:
            self._best, self._best_totals = node, totals

    def _escape(self, loss: int) -> None:
        if self._escaped is None or loss < self._escaped:
            self._escaped = loss

    def _totals(self, node: Node) -> list[int]:
        """Read the fill of a node, level by level within the window."""
        totals = self._highs[: node.marginal] + [0] * (len(self._highs) - node.marginal)
        for place, (low, high) in node.splits.items():
            totals[place] = high if place < node.marginal else low
        totals[node.marginal] = node.steps
        return totals
