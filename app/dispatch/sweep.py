"""The exact fallback: a dynamic programme over deviations from the relaxation, packed in integers.

It runs where branch and bound has to try too many boxes (subset sums, parity, equal sizes). The
table gives, for each surplus of power, the least loss of the levels swept so far; the levels are
swept from the dearest to the cheapest. Thousands of losses lie side by side in one Python integer,
a "lane" each, and one subtraction compares them all, so that a level costs a few passes over
memory instead of a loop. To keep lanes narrow the table's losses are rounded down; it is then read
with exact losses, along every path that rounding leaves in doubt.

Only plans within a budget (a loss over the relaxation) are represented, which bounds the surplus
and leaves out the levels that cannot deviate at all. The budget grows until a plan is found.
EXACTNESS.md gives the argument.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple, overload

from app.dispatch.lanes import Lanes
from app.dispatch.merit import KEY_BITS
from app.dispatch.search import Scale, marginal_of
from app.dispatch.sums import blocks
from app.dispatch.trail import Trail

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from app.dispatch.merit import Level


# Bits of a loss that the table keeps. Fewer make it faster to compute and leave more paths in
# doubt; the result is the same.
_PRECISION_BITS = 36
_LOW_PRECISION_BITS = 20
_MANY_LANES = 1_000_000


class _Row(NamedTuple):
    """The table after a level: `lanes` lanes in `packed`, lane i for a surplus of i steps.

    Past the marginal level, lane i stands for i steps more than the load leaves room for, to be
    taken back from the cheaper levels.
    """

    packed: int
    lanes: int


class _Path(NamedTuple):
    """How a surplus is reached: exact loss so far, and the level's deviation after `before`."""

    loss: int
    before: _Path | None
    change: int


@overload
def sweep(levels: Sequence[Level], load: int, known: int | None) -> list[int]: ...


@overload
def sweep(
    levels: Sequence[Level], load: int, known: int | None, most_work: int | None
) -> list[int] | None: ...


def sweep(
    levels: Sequence[Level], load: int, known: int | None, most_work: int | None = None
) -> list[int] | None:
    """Find the best totals, or None if that takes tables of more than `most_work` bytes.

    Args:
        levels: all levels, cheapest first.
        load: what they have to deliver, known to be possible.
        known: the loss of some plan, in units of `Level.key`, rounded up.
        most_work: how many bytes of rows to compute at most; None for as many as it takes.
    """
    origin, steps = marginal_of(levels, load)
    for budget in _budgets(levels, origin):
        enough = budget if known is None else min(budget, known)
        table = _Sweep(levels, origin, steps, enough)
        if most_work is not None:
            most_work -= table.work
            if most_work < 0:
                return None
        found = table.best()
        if found is not None:
            totals, loss = found
            if loss <= enough:
                return totals
            known = loss if known is None else min(known, loss)
    raise AssertionError("a load that is possible has a plan within the greatest budget")


def _budgets(levels: Sequence[Level], origin: int) -> Iterator[int]:
    """Give growing budgets: what it costs to move some power past the marginal level.

    The last one pays for every deviation there is.
    """
    base = levels[origin].key
    near = levels[max(origin - 8, 0) : origin + 9]
    power = 2 * max((unit.high for level in near for unit in level.units), default=1)
    while True:
        budget, whole = 0, True
        for side in (levels[:origin][::-1], levels[origin + 1 :]):
            left = power
            for level in side:
                part = min(left, level.total)
                budget += part * (abs(level.key - base) + 1)
                left -= part
                if not left:
                    break
            whole = whole and (not side or left > 0)
        yield budget
        if whole:
            return
        power += power // 2 + 1


class _Sweep:
    """One pass within a budget."""

    def __init__(self, levels: Sequence[Level], origin: int, steps: int, budget: int) -> None:
        self._levels = levels
        self._origin = origin
        self._steps = steps
        base = levels[origin].key
        # Levels that can deviate within the budget; a key is at most one unit off the true cost.
        self._active = [
            place
            for place, level in enumerate(levels)
            if place == origin
            or _least_deviation(level, above=place > origin) * (abs(level.key - base) - 1) <= budget
        ]
        self._middle = bisect_left(self._active, origin)
        scale = Scale([levels[place] for place in self._active], levels[origin])
        self._scale = scale
        self._rates = [abs(rate) for rate in scale.rates]
        most_loss = (budget * scale.denominator // scale.numerator) >> KEY_BITS
        self._taken, self._given = self._reach(most_loss)
        # What the table holds: losses without their last bits, each rounded down.
        self._widest = max(self._steps + self._taken, self._given) + 1
        precision = _PRECISION_BITS if self._widest < _MANY_LANES else _LOW_PRECISION_BITS
        self._dropped = max(most_loss.bit_length() - precision, 0)
        self._budget = most_loss >> self._dropped
        self._rounded = [rate >> self._dropped for rate in self._rates]
        self._lanes = Lanes(self._budget)

    @property
    def work(self) -> int:
        """The size of all rows in bytes, at most."""
        return len(self._active) * self._widest * self._lanes.bits // 8

    def best(self) -> tuple[list[int], int] | None:
        """Run the table and read the best plan, with its loss in key units, rounded up.

        The plan is the best of all if its loss is within the budget. None: no plan is.
        """
        start = _Row(0, 1)
        rows = Trail(start, len(self._active), self._row, self._widest * self._lanes.bits // 8)
        first = rows[0]
        if not first.lanes or self._lanes.get(first.packed, 0) > self._budget:
            return None
        changes, loss = self._read(rows, self._any_loss(rows))
        totals = [level.total for level in self._levels[: self._origin]]
        totals += [0] * (len(self._levels) - len(totals))
        for index, change in enumerate(changes):
            totals[self._active[index]] += -change if index < self._middle else change
        numerator = (loss * self._scale.numerator) << KEY_BITS
        return totals, -(-numerator // self._scale.denominator)

    def _reach(self, budget: int) -> tuple[int, int]:
        """Bound the power taken from cheaper levels and the power given by dearer ones."""
        middle, total = self._middle, self._levels[self._origin].total
        cheaper = [
            (self._rates[i], self._levels[self._active[i]].total) for i in range(middle - 1, -1, -1)
        ]
        dearer = [
            (self._rates[i], self._levels[self._active[i]].total)
            for i in range(middle + 1, len(self._active))
        ]
        taken = _most(cheaper, dearer, total - self._steps, budget)
        given = _most(dearer, cheaper, self._steps, budget)
        return taken, given

    def _row(self, index: int, row: _Row) -> _Row:
        """Sweep one level: the row before it holds the levels that cost more."""
        if not row.lanes:
            return row
        level = self._levels[self._active[index]]
        rate = self._rounded[index]
        lanes = self._lanes
        if index > self._middle:
            most = min(self._budget // rate, self._given) if rate else self._given
            packed, count = lanes.padded(*row, min(row.lanes + level.total, most + 1))
            for low, high in blocks(level.units):
                packed = lanes.with_output(packed, count, (low, min(high, most)), rate)
            return _Row(packed, count)
        if index == self._middle:
            most = self._steps + self._taken
            packed, count = lanes.padded(*row, min(row.lanes + level.total, most + 1))
            for low, high in blocks(level.units):
                packed = lanes.with_output(packed, count, (low, min(high, most)), 0)
            return _Row(lanes.without_first(packed, self._steps), max(count - self._steps, 0))
        most = self._budget // rate if rate else row.lanes - 1
        packed, count = lanes.padded(*row, min(row.lanes, most + 1))
        for low, high in blocks(level.units):
            packed = lanes.with_less(packed, count, (min(high - low, most), high), rate)
        return _Row(packed, count)

    def _any_loss(self, rows: Trail[_Row]) -> int:
        """Follow one path of the least rounded losses; give its exact loss."""
        rounded = self._lanes.get(rows[0].packed, 0)
        loss = surplus = 0
        for index, rate in enumerate(self._rounded):
            table = rows[index + 1]
            for change, after in self._options(index, surplus, table.lanes, rounded):
                if self._lanes.get(table.packed, after) == rounded - change * rate:
                    break
            else:
                raise AssertionError("a row of the table does not follow from the one before")
            surplus = after
            rounded -= change * rate
            loss += change * self._rates[index]
        return loss

    def _read(self, rows: Trail[_Row], most: int) -> tuple[list[int], int]:
        """Find the best plan of an exact loss up to `most`, and that loss.

        Paths with the same surplus go on alike, so that only the best of them is kept: the least
        loss, then the first found, which is the lexicographically greatest, since paths are
        extended in that order.
        """
        paths: dict[int, _Path] = {0: _Path(0, None, 0)}
        for index, rate in enumerate(self._rates):
            table = rows[index + 1]
            get = self._lanes.reader(*table)
            longer: dict[int, _Path] = {}
            for surplus, path in paths.items():
                room = (most - path.loss) >> self._dropped
                for change, after in self._options(index, surplus, table.lanes, room):
                    loss = path.loss + change * rate
                    if loss + (get(after) << self._dropped) > most:
                        continue
                    rival = longer.get(after)
                    if rival is None or loss < rival.loss:
                        longer.pop(after, None)  # so that it moves behind what came before it
                        longer[after] = _Path(loss, path, change)
            paths = longer
        return _changes(paths[0]), paths[0].loss

    def _options(
        self, index: int, surplus: int, lanes: int, room: int
    ) -> Iterator[tuple[int, int]]:
        """Give a level's deviations and the surplus after each, the greatest totals first.

        `lanes` is the length of the table after it, `room` the rounded loss that is left.
        """
        level = self._levels[self._active[index]]
        rate = self._rounded[index]
        most = min(level.total, room // rate) if rate else level.total
        if index < self._middle:
            for change in _deviations(level, 0, min(most, lanes - 1 - surplus), above=False):
                yield change, surplus + change
            return
        if index == self._middle:
            surplus += self._steps
        for change in _deviations(
            level, max(0, surplus - lanes + 1), min(most, surplus), above=True
        ):
            yield change, surplus - change


def _changes(path: _Path) -> list[int]:
    changes = []
    while path.before is not None:
        changes.append(path.change)
        path = path.before
    return changes[::-1]


def _deviations(level: Level, least: int, most: int, *, above: bool) -> Iterator[int]:
    """Give the changes from all off (`above`), or all at their greatest output, within a range.

    Those that leave the level the greatest total come first.
    """
    if len(level.units) == 1:
        low, high, _ = level.units[0]
        if above:
            yield from range(min(most, high), max(least, low, 1) - 1, -1)
            if least <= 0 <= most:
                yield 0
        else:
            yield from range(least, min(most, high - max(low, 1)) + 1)
            if least <= high <= most:
                yield high
    elif above:
        yield from reversed(list(level.sums().between(least, most)))
    else:
        totals = level.sums().between(level.total - most, level.total - least)
        yield from (level.total - total for total in reversed(list(totals)))


def _least_deviation(level: Level, *, above: bool) -> int:
    """Find the least change from all off (`above`) or all at their greatest output."""
    if above:
        return min((max(unit.low, 1) for unit in level.units), default=1)
    return min((1 if unit.low < unit.high else unit.high for unit in level.units), default=1)


def _most(side: list[tuple[int, int]], other: list[tuple[int, int]], free: int, budget: int) -> int:
    """Bound the power that one side can move within the budget, each step at its cheapest.

    What it moves beyond `free` steps, the other side has to move back.
    """
    moved = 0
    prices = iter(other)
    back_rate, back_left = 0, free
    for rate, total in side:
        left = total
        while left:
            while not back_left:
                back = next(prices, None)
                if back is None:
                    return moved
                back_rate, back_left = back
            price = rate + back_rate
            part = min(left, back_left)
            if price * part > budget:
                return moved + budget // price
            budget -= price * part
            moved += part
            left -= part
            back_left -= part
    return moved
