"""Unit commitment: plants and load in, the cheapest plan out. Pure, exact, standard library only.

    plan(load, fuels, plants, co2=True)           -> Plan, or InvalidProblemError,
                                                     or InfeasibleLoadError
    faults_of(load, fuels, plants)                -> what is wrong with a problem
    verify(load, fuels, plants, plan, co2=True)   -> what is wrong with a plan

How a problem is solved, from the outside in::

    solver       the steps, and the rule among plans of equal cost
      validation which problems are accepted
      merit      plants -> levels of marginal cost, in integers
      search     branch and bound over the levels' totals
      sweep      dynamic programme, where branching would not end in time
        lanes    many losses in one integer
      share      a level's total -> its plants' outputs
        sums     which totals some plants can deliver
        trail    a long chain of states, read backwards
    audit        checks a plan; shares nothing with the solver but `problem`
"""

from app.dispatch.audit import verify
from app.dispatch.problem import Exact, Expense, Fuels, Kind, Output, Plan, Plant
from app.dispatch.solver import plan
from app.dispatch.validation import faults_of

__all__ = [
    "Exact",
    "Expense",
    "Fuels",
    "Kind",
    "Output",
    "Plan",
    "Plant",
    "faults_of",
    "plan",
    "verify",
]
