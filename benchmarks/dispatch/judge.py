"""An answer of ours beside one of HiGHS for the same problem.

What is ours has to stand by itself: a plan is a plan by `app.dispatch.verify`. Where HiGHS has a
valid plan, ours may not be dearer. Where HiGHS has none that holds, that is counted, and what we
say is proven without it: a plan by the audit, and that there is none by the set of all loads.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from app.dispatch import verify
from benchmarks.dispatch.highs import Answer, Verdict
from benchmarks.dispatch.loads import can_be_met

if TYPE_CHECKING:
    from fractions import Fraction

    from app.dispatch import Plan
    from benchmarks.dispatch.families import Problem


class Finding(StrEnum):
    """What comes of the comparison; the values are the columns of the report."""

    EQUAL = "equal cost"
    NO_PLAN = "no plan, both"
    HIGHS_DEARER = "HiGHS dearer"
    HIGHS_BROKEN = "HiGHS's plan is none"
    HIGHS_BLIND = "HiGHS misses a plan"
    LATE_EQUAL = "late, equal cost"
    LATE_DEARER = "late, dearer"
    LATE_NONE = "late, no plan"
    OURS_DEARER = "ours dearer"
    OURS_WRONG = "ours wrong"


MEANINGS = {
    Finding.EQUAL: "the cost of HiGHS's optimum, to the last digit",
    Finding.NO_PLAN: "both say that no plan meets the load",
    Finding.HIGHS_DEARER: "HiGHS calls a plan optimal that costs more than ours",
    Finding.HIGHS_BROKEN: "HiGHS's plan, rounded to steps, breaks a limit or misses the load",
    Finding.HIGHS_BLIND: "HiGHS says that no plan meets the load; ours does, by the audit",
    Finding.LATE_EQUAL: "HiGHS ran into its time limit, with a plan of the cost of ours",
    Finding.LATE_DEARER: "HiGHS ran into its time limit, with a plan that costs more than ours",
    Finding.LATE_NONE: "HiGHS ran into its time limit without a valid plan",
    Finding.OURS_DEARER: "FAILED: HiGHS has a valid plan that costs less than ours",
    Finding.OURS_WRONG: "FAILED: the audit refuses ours, or we miss that a plan exists",
}
_WITHOUT_PLAN = {Verdict.OUT_OF_TIME: Finding.LATE_NONE}
FAILURES = frozenset({Finding.OURS_DEARER, Finding.OURS_WRONG})


@dataclass(frozen=True, slots=True)
class Judgement:
    """What comes of one comparison.

    Attributes:
        finding: the kind.
        excess: by what share HiGHS's plan costs more than ours; 0 where it does not.
    """

    finding: Finding
    excess: float = 0.0


def judge(problem: Problem, ours: Plan | None, theirs: Answer) -> Judgement:
    """Compare two answers to one problem."""
    if ours is None:
        return Judgement(_judge_no_plan(problem, theirs))
    if verify(problem.load, problem.fuels, problem.plants, ours):
        return Judgement(Finding.OURS_WRONG)
    if theirs.cost is not None:
        return _judge_costs(ours.cost, theirs.cost, late=theirs.verdict is Verdict.OUT_OF_TIME)
    if theirs.verdict is Verdict.INFEASIBLE:
        return Judgement(Finding.HIGHS_BLIND)
    return Judgement(_WITHOUT_PLAN.get(theirs.verdict, Finding.HIGHS_BROKEN))


def _judge_costs(ours: Fraction, theirs: Fraction, *, late: bool) -> Judgement:
    if theirs < ours:
        return Judgement(Finding.OURS_DEARER)
    if theirs == ours:
        return Judgement(Finding.LATE_EQUAL if late else Finding.EQUAL)
    excess = float((theirs - ours) / abs(ours)) if ours else float("inf")
    return Judgement(Finding.LATE_DEARER if late else Finding.HIGHS_DEARER, excess)


def _judge_no_plan(problem: Problem, theirs: Answer) -> Finding:
    if theirs.verdict is Verdict.INFEASIBLE:
        return Finding.NO_PLAN
    if theirs.cost is not None or can_be_met(problem):
        return Finding.OURS_WRONG
    return _WITHOUT_PLAN.get(theirs.verdict, Finding.HIGHS_BROKEN)
