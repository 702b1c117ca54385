"""From the bytes of a request to the bytes of its answer: what a process of the pool computes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from app import dispatch
from app.errors import UnprovenPlanError
from app.planning import answer
from app.planning.request import PlanRequest, decode

if TYPE_CHECKING:
    from collections.abc import Callable


def compute(
    body: bytes,
    *,
    co2: bool,
    details: bool,
    quick: bool,
    solved: Callable[[float], None] | None = None,
) -> bytes:
    """Answer a request.

    Args:
        body: the payload, in JSON.
        co2: whether the cost counts CO2 allowances.
        details: whether the answer explains itself.
        quick: whether a problem that takes long is refused instead.
        solved: told of the seconds that it took to find and prove the plan.

    Raises:
        HardProblemError: `quick`, and the problem takes long.
        AppError: the request is wrong, or no plan meets its load.
    """
    request = decode(body)
    begun = time.perf_counter()
    plan = solve(request, co2=co2, quick=quick)
    if solved is not None:
        solved(time.perf_counter() - begun)
    return answer.detailed(request, plan, co2=co2) if details else answer.plain(plan)


def solve(request: PlanRequest, *, co2: bool, quick: bool = False) -> dispatch.Plan:
    """The cheapest plan, proven by the independent check before anybody sees it.

    Raises:
        InvalidProblemError: the request is wrong.
        InfeasibleLoadError: no plan meets its load.
        HardProblemError: `quick`, and the problem takes long.
        UnprovenPlanError: the check refuses the plan: a fault of this software.
    """
    plan = dispatch.plan(request.load, request.fuels, request.plants, co2=co2, quick=quick)
    wrong = dispatch.verify(request.load, request.fuels, request.plants, plan, co2=co2)
    if wrong:
        raise UnprovenPlanError("; ".join(wrong))
    return plan
