"""From the bytes of a request to the bytes of its answer: what a process of the pool computes."""

from __future__ import annotations

from app import dispatch
from app.errors import UnprovenPlanError
from app.planning import answer
from app.planning.request import PlanRequest, decode


def compute(body: bytes, *, co2: bool, details: bool, quick: bool) -> bytes:
    """Answer a request.

    Args:
        body: the payload, in JSON.
        co2: whether the cost counts CO2 allowances.
        details: whether the answer explains itself.
        quick: whether a problem that takes long is refused instead.

    Raises:
        HardProblemError: `quick`, and the problem takes long.
        AppError: the request is wrong, or no plan meets its load.
    """
    request = decode(body)
    plan = solve(request, co2=co2, quick=quick)
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
