"""Plants and load in, the cheapest plan out.

Guarantees: the plan meets the load exactly at the least cost there is. Among plans of equal cost
it is the one whose totals per level of marginal cost, cheapest level first, are lexicographically
greatest; and within each level the one whose outputs, in the order given, are.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from app.dispatch.commitment import commit
from app.dispatch.feasibility import nearest
from app.dispatch.merit import market_of
from app.dispatch.problem import Expense, Output, Plan
from app.dispatch.validation import UnsoundError, check
from app.errors import InfeasibleLoadError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.dispatch.merit import Market
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
        market = market_of(load, fuels, plants, co2=co2)
    except UnsoundError:
        check(load, fuels, plants)
        raise
    totals = commit(market, quick=quick)
    if totals is None:
        units = [unit for level in market.levels for unit in level.units]
        raise InfeasibleLoadError(market.load, *nearest(units, market.load))
    return _plan(market, totals)


# What the classes do when called, without the function that they put before it.
_OUTPUT = partial(tuple.__new__, Output)
_EXPENSE = partial(tuple.__new__, Expense)


def _plan(market: Market, totals: list[int]) -> Plan:
    """Divide the levels' totals among their plants."""
    _, levels, _, names = market
    steps = [0] * len(names)
    order: list[int] = []
    expenses = []
    for level, total in zip(levels, totals, strict=True):
        indices = level.indices
        order += indices
        if not total:
            continue
        expenses.append(_EXPENSE((total, *level.cost)))
        if len(indices) == 1:
            steps[indices[0]] = total
        else:
            for index, part in level.outputs(total):
                steps[index] = part
    named = [(names[index], steps[index]) for index in order]
    return Plan(tuple(map(_OUTPUT, named)), tuple(expenses))
