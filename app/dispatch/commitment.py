"""Unit commitment proper: what each level of marginal cost delivers, at least cost.

Steps, cheapest first; each hands over only what it cannot settle:

1. a few boxes of branch and bound (`app.dispatch.search`); they settle most problems;
2. is the load possible at all (`app.dispatch.feasibility`)?
3. when nearly all plants are all or nothing: the others are decided first (`app.dispatch.cases`);
4. more branch and bound;
5. the dynamic programme (`app.dispatch.sweep`), which always ends.

EXACTNESS.md gives the argument for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.dispatch.cases import Cases
from app.dispatch.feasibility import is_possible
from app.dispatch.search import Search, marginal_of
from app.dispatch.sweep import sweep

if TYPE_CHECKING:
    from app.dispatch.merit import Level

_FIRST_REACH = 16
# Most problems need a handful of boxes. One that needs more may be impossible, which is cheap to
# find out, and is soon cheaper to sweep.
_FEW_NODES = 32
_MOST_NODES = 200


def commit(levels: list[Level], load: int) -> list[int] | None:
    """Find the total of each level, or None if no plan meets the load.

    Of the totals that cost the least they are the lexicographically greatest, cheapest level first.
    """
    if load > sum(level.total for level in levels):
        return None
    if not load:
        return [0] * len(levels)
    search = _searched(levels, load, _FEW_NODES)
    totals = search.totals()
    if search.proven:
        return totals
    if totals is None and not _is_possible(levels, load):
        return None
    return _in_cases(levels, load)


def _in_cases(levels: list[Level], load: int) -> list[int] | None:
    """Decide the outsiders first where they are few; the load is known to be possible."""
    cases = Cases.of(levels, load)
    if cases is None:
        return _settled(levels, load)
    if cases.run(_settled):
        return cases.best
    return sweep(levels, load, cases.known_loss())


def _is_possible(levels: list[Level], load: int) -> bool:
    return is_possible([unit for level in levels for unit in level.units], load)


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


def _settled(levels: list[Level], load: int) -> list[int] | None:
    """Branch, then sweep; the load need not be possible."""
    if not load:
        return [0] * len(levels)
    if load > sum(level.total for level in levels):
        return None
    search = _searched(levels, load, _MOST_NODES)
    totals = search.totals()
    if search.proven:
        return totals
    if totals is None and not _is_possible(levels, load):
        return None
    return sweep(levels, load, search.loss_in_key_units())
