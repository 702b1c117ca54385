"""Unit commitment proper: what each level of marginal cost delivers, at least cost.

Steps, cheapest first; each hands over only what it cannot settle:

1. the fill in merit order; where it is a plan, no plan is cheaper. Otherwise:
2. a few boxes of branch and bound (`app.dispatch.search`); they settle most problems;
3. is the load possible at all (`app.dispatch.feasibility`)?
4. when nearly all plants are all or nothing: the others are decided first (`app.dispatch.cases`);
5. more branch and bound;
6. the dynamic programme (`app.dispatch.sweep`), which always ends; where it takes long, 4 is tried
   with more plants to decide before it goes on.

EXACTNESS.md gives the argument for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.dispatch.cases import Cases
from app.dispatch.feasibility import fits_grain, is_possible
from app.dispatch.search import Search, marginal_of
from app.dispatch.sweep import sweep
from app.errors import HardProblemError

if TYPE_CHECKING:
    from app.dispatch.merit import Level, Market
    from app.dispatch.sums import Unit

_FIRST_REACH = 16
# Most problems need a handful of boxes. One that needs more may be impossible, which is cheap to
# find out, and is soon cheaper to sweep.
_FEW_NODES = 32
_MOST_NODES = 200
_FEW_OUTSIDERS = 128
# Sizes at random make about half of the plants outsiders: fewer than a third is no accident.
_MANY = 64
# Bytes of table rows; some tenths of a second.
_MUCH_WORK = 48 << 20


def commit(market: Market, *, quick: bool = False) -> list[int] | None:
    """Find the total of each level, or None if no plan meets the load.

    Of the totals that cost the least they are the lexicographically greatest, cheapest level first.

    Raises:
        HardProblemError: `quick`, and the first two steps settle nothing.
    """
    load, levels, rigid, _ = market
    if load > sum([level.total for level in levels]):
        return None
    if not load:
        return [0] * len(levels)
    place, steps = marginal_of(levels, load)
    if rigid and not fits_grain(_units(levels), load):
        return None
    if levels[place].around(steps)[0] == steps:  # the cheapest fill of all is a plan
        dearer = len(levels) - place - 1
        return [*[level.total for level in levels[:place]], steps, *[0] * dearer]
    search = _searched(levels, load, _FEW_NODES)
    totals = search.totals()
    if quick and not search.proven:
        raise HardProblemError("the plan takes more than a few boxes of branch and bound")
    if not search.proven and (totals is not None or is_possible(_units(levels), load)):
        totals = _in_cases(levels, load)
    return totals


def _in_cases(levels: list[Level], load: int) -> list[int] | None:
    """Decide outsiders first, or at last; the load is known to be possible."""
    count = sum(len(level.units) for level in levels)
    few = min(_FEW_OUTSIDERS, max(3, count // 8))
    cases = Cases.of(levels, load, few, without_grain=count < _MANY)
    if cases is None:
        totals = _settled(levels, load, most_work=_MUCH_WORK)
        if totals is not None:
            return totals
        # Much work is a sign of a remainder that only a few dear plants can make.
        cases = Cases.of(levels, load, count // 3 if count >= _MANY else -1)
    if cases is None:
        return sweep(levels, load, None)
    if cases.run(_settled):
        return cases.best
    return sweep(levels, load, cases.known_loss())


def _searched(levels: list[Level], load: int, most_nodes: int) -> Search:
    """Branch and bound; levels are taken in until those left out cannot matter."""
    origin, steps = marginal_of(levels, load)
    reach = _FIRST_REACH
    while True:
        search = Search(levels, origin, steps, reach)
        search.run(most_nodes)
        if search.complete or not search.finished:
            return search
        reach *= 4


def _settled(levels: list[Level], load: int, most_work: int | None = None) -> list[int] | None:
    """Branch, then sweep. None if the load is not possible, or takes more than `most_work`."""
    if not load:
        return [0] * len(levels)
    if load > sum(level.total for level in levels):
        return None
    search = _searched(levels, load, _MOST_NODES)
    totals = search.totals()
    if search.proven:
        return totals
    if totals is None and not is_possible(_units(levels), load):
        return None
    return sweep(levels, load, search.loss_in_key_units(), most_work)


def _units(levels: list[Level]) -> list[Unit]:
    return [unit for level in levels for unit in level.units]
