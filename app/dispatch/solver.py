"""Plants and load in, the cheapest plan out.

Guarantees: the plan meets the load exactly at the least cost there is. Among plans of equal cost
it is the one whose totals per level of marginal cost, cheapest level first, are lexicographically
greatest; and within each level the one whose outputs, in the order given, are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.dispatch.commitment import commit
from app.dispatch.feasibility import nearest
from app.dispatch.merit import market_of
from app.dispatch.problem import Expense, Output, Plan
from app.dispatch.share import share
from app.dispatch.validation import UnsoundError, check
from app.errors import InfeasibleLoadError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.dispatch.merit import Level
    from app.dispatch.problem import Exact, Fuels, Plant


def plan(
    load: Exact, fuels: Fuels, plants: Sequence[Plant], *, co2: bool = True, quick: bool = False
) -> Plan:
    """Find the cheapest plan.

    Args:
        load: MW to deliver, a multiple of 0.1.
        fuels: prices, and the wind.
        plants: in the order that decides between equals.
        co2: whether gas-fired plants pay for what they emit.
        quick: whether a problem that a short search does not settle is refused.

    Raises:
        HardProblemError: `quick`, and it is not settled: ask again with time.
        InvalidProblemError: values are wrong; each is named by its JSON pointer.
        InfeasibleLoadError: no plan meets the load; the nearest loads that can be met are named.
    """
    try:
        steps, levels = market_of(load, fuels, plants, co2=co2)
    except UnsoundError:
        check(load, fuels, plants)
        raise
    totals = commit(levels, steps, quick=quick)
    if totals is None:
        units = [unit for level in levels for unit in level.units]
        raise InfeasibleLoadError(steps, *nearest(units, steps))
    return _plan(levels, totals, plants)


def _plan(levels: list[Level], totals: list[int], plants: Sequence[Plant]) -> Plan:
    """Divide the levels' totals among their plants."""
    steps = [0] * len(plants)
    expenses = []
    for level, total in zip(levels, totals, strict=True):
        if not total:
            continue
        expenses.append(Expense(total, *level.cost))
        parts = [total] if len(level.units) == 1 else share(level.units, total)
        if parts is None:
            raise AssertionError("the search chose a total that the level cannot deliver")
        for unit, part in zip(level.units, parts, strict=True):
            steps[unit.plant] = part
    order = [index for level in levels for index in level.indices]
    outputs = tuple([Output(plants[index].name, steps[index]) for index in order])
    return Plan(outputs, tuple(expenses))
