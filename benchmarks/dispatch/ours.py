"""Our solver, asked as HiGHS is: that there is no plan is an answer, not an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.dispatch import plan
from app.errors import InfeasibleLoadError

if TYPE_CHECKING:
    from app.dispatch import Plan
    from benchmarks.dispatch.families import Problem


def solve(problem: Problem) -> Plan | None:
    """Our plan; None where no plan meets the load."""
    try:
        return plan(problem.load, problem.fuels, problem.plants)
    except InfeasibleLoadError:
        return None
