"""Problems in which nearly all plants are all or nothing and share a grain: one case at a time.

When every plant but a few, the outsiders, delivers either nothing or a multiple of some grain (all
sizes even, say), the outsiders alone have to make what the load leaves over. Bounds do not see
that: they let any plant deliver a little. So the outsiders are decided first, one after the other,
the cheapest decisions first; what is left is a problem in multiples of the grain, smaller by that
factor and without the remainder.

Outsiders that can be modulated take one of few outputs: of an optimal plan's plants at most one is
between its limits, those that cost less than it are at their greatest output if they run, and
those that cost more at their least. EXACTNESS.md gives the argument.
"""

from __future__ import annotations

from fractions import Fraction
from heapq import heappop, heappush
from itertools import count
from math import gcd
from typing import TYPE_CHECKING, NamedTuple

from app.dispatch.search import marginal_of
from app.dispatch.sums import Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from app.dispatch.merit import Level

    Settle = Callable[[list[Level], int], list[int] | None]

_MOST_DECISIONS = 500
_MOST_SETTLED = 32
_PRIMES = (2, 3, 5, 7, 11, 13)


class _Decisions(NamedTuple):
    """What the first outsiders do.

    Attributes:
        outputs: of each, the one that is modulated at the least it can deliver.
        modulated: the place of that one among the outsiders, or -1.
        full: whether one that could be modulated is at its greatest output.
    """

    outputs: tuple[int, ...]
    modulated: int
    full: bool


class Cases:
    """Decides the outsiders of a problem and settles what each case leaves.

    Attributes:
        best: the best totals so far, or None.
    """

    @classmethod
    def of(
        cls, levels: list[Level], load: int, few: int, *, without_grain: bool = True
    ) -> Cases | None:
        """Divide a problem into cases, if it has at most `few` outsiders.

        Without a common grain only plants that can be modulated are outsiders.
        """
        units = [unit for level in levels for unit in level.units]
        rigid = [unit.high for unit in units if unit.low == unit.high]
        few -= len(units) - len(rigid)
        if few < 0:
            return None
        shared = min(_PRIMES, key=lambda prime: sum(size % prime > 0 for size in rigid))
        inside = [size for size in rigid if size % shared == 0]
        if len(rigid) - len(inside) > few:
            inside = rigid
        grain = gcd(*inside) or 1
        if grain == 1 and (len(rigid) == len(units) or not without_grain):
            return None
        return cls(levels, load, grain)

    def __init__(self, levels: list[Level], load: int, grain: int) -> None:
        self.best: list[int] | None = None
        self._levels = levels
        self._load = load
        self._grain = grain
        self._inside: list[list[Unit]] = []
        self._outsiders: list[tuple[int, Unit]] = []
        for place, level in enumerate(levels):
            inside = []
            for unit in level.units:
                if unit.low == unit.high and unit.high % grain == 0:
                    inside.append(unit)
                else:
                    self._outsiders.append((place, unit))
            self._inside.append(inside)
        self._inside_totals = [sum(unit.high for unit in units) for units in self._inside]
        self._heap: list[tuple[int, int, _Decisions]] = []
        self._order = count()

    def run(self, settle: Settle) -> bool:
        """Find the best plan; False if there are too many cases, with the best one so far."""
        self._push(_Decisions((), -1, full=False))
        most_decided = _MOST_DECISIONS + 4 * len(self._outsiders)
        decided = settled = 0
        while self._heap:
            bound, _, decisions = heappop(self._heap)
            if self.best is not None and bound > self._most():
                return True
            if decided > most_decided or settled > _MOST_SETTLED:
                return False
            decided += 1
            if len(decisions.outputs) < len(self._outsiders):
                for further in self._further(decisions):
                    self._push(further)
                continue
            settled += 1
            totals = self._settled(decisions, settle)
            if totals is not None and (self.best is None or self._is_better(totals)):
                self.best = totals
        return True

    def known_loss(self) -> int | None:
        """Bound the best plan's loss from above, in key units x steps."""
        if self.best is None:
            return None
        place, steps = marginal_of(self._levels, self._load)
        full = sum(level.total * level.key for level in self._levels[:place])
        return self._most() - full - steps * self._levels[place].key

    def _further(self, decisions: _Decisions) -> Iterator[_Decisions]:
        """Decide the next outsider in merit order; of identical ones the first given run."""
        outputs, modulated, full = decisions
        index = len(outputs)
        place, (low, high, _) = self._outsiders[index]
        yield _Decisions((*outputs, 0), modulated, full)
        before, (low_before, high_before, _) = self._outsiders[index - 1]
        if index and not outputs[-1] and (before, low_before, high_before) == (place, low, high):
            return
        if low == high:
            yield _Decisions((*outputs, high), modulated, full)
        elif modulated < 0:
            yield _Decisions((*outputs, high), modulated, full=True)
            yield _Decisions((*outputs, low), index, full=True)
        elif low:
            yield _Decisions((*outputs, low), modulated, full)

    def _push(self, decisions: _Decisions) -> None:
        """Keep decisions that can lead to a plan, with a lower bound on its cost."""
        outputs, modulated, full = decisions
        if len(outputs) == len(self._outsiders):
            # one at its greatest output and none modulated: the last of them counts as modulated
            if full and modulated < 0:
                return
            extra = (self._load - sum(outputs)) % self._grain
            if extra and modulated < 0:
                return
            if extra:
                outputs = (
                    *outputs[:modulated],
                    outputs[modulated] + extra,
                    *outputs[modulated + 1 :],
                )
                decisions = _Decisions(outputs, modulated, full)
        if (bound := self._bound(decisions)) is not None:
            heappush(self._heap, (bound, next(self._order), decisions))

    def _bound(self, decisions: _Decisions) -> int | None:
        """Fill the rest of the load in merit order; undecided outsiders take anything."""
        outputs, modulated, _ = decisions
        rest = self._load - sum(outputs)
        room = list(self._inside_totals)
        for place, unit in self._outsiders[len(outputs) :]:
            room[place] += unit.high
        if modulated >= 0:
            place, unit = self._outsiders[modulated]
            if unit.high < outputs[modulated]:
                return None
            room[place] += unit.high - outputs[modulated]
        if not 0 <= rest <= sum(room):
            return None
        bound = 0
        for (place, _), steps in zip(self._outsiders, outputs, strict=False):
            bound += steps * self._levels[place].key
        for level, most in zip(self._levels, room, strict=True):
            part = min(rest, most)
            bound += part * level.key
            rest -= part
            if not rest:
                break
        return bound

    def _settled(self, decisions: _Decisions, settle: Settle) -> list[int] | None:
        """Solve what is left, in grains; give totals of the problem as it was."""
        outputs, modulated, _ = decisions
        grain = self._grain
        inside = [
            [Unit(low // grain, high // grain, plant) for low, high, plant in units]
            for units in self._inside
        ]
        if modulated >= 0:
            place, unit = self._outsiders[modulated]
            if room := (unit.high - outputs[modulated]) // grain:
                inside[place].append(Unit(0, room, unit.plant))
        levels = [
            level.with_units(units) for level, units in zip(self._levels, inside, strict=True)
        ]
        found = settle(levels, (self._load - sum(outputs)) // grain)
        if found is None:
            return None
        totals = [total * grain for total in found]
        for (place, _), steps in zip(self._outsiders, outputs, strict=True):
            totals[place] += steps
        return totals

    def _most(self) -> int:
        """Bound the best plan's cost from above: keys are rounded down by less than 1."""
        if self.best is None:
            raise AssertionError("no plan is known")
        pairs = zip(self._levels, self.best, strict=True)
        return self._load + sum(level.key * total for level, total in pairs)

    def _is_better(self, totals: Sequence[int]) -> bool:
        """Compare with the best plan by exact cost, then by totals; most levels are alike."""
        if self.best is None:
            return True
        dearer = Fraction(0)
        for level, one, two in zip(self._levels, totals, self.best, strict=True):
            if one != two:
                numerator, denominator = level.cost
                dearer += Fraction((one - two) * numerator, denominator)
        return dearer < 0 or (not dearer and list(totals) > self.best)
