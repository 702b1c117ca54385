"""Unit commitment: plants and load in, the cheapest plan out. Pure, exact, standard library only.

    plan(load, fuels, plants, co2=True)           -> Plan, or InvalidProblemError,
                                                     or InfeasibleLoadError
    explain(load, fuels, plants, plan, co2=True)  -> why each plant is on or off
    faults_of(load, fuels, plants)                -> what is wrong with a problem
    verify(load, fuels, plants, plan, co2=True)   -> what is wrong with a plan

What calls what::

    solver            plants and load in, plan out; the rule among plans of equal cost
      validation      which problems are accepted
      quantities      all numbers as integers, or a sign that there is a fault to list
      merit           plants -> levels of marginal cost, in integers
      commitment      what each level delivers: the order in which the following are tried
        search        branch and bound over the levels' totals
        feasibility   can a load be met at all, and which near it can
        cases         few plants that differ from the rest: decide them first
        sweep         dynamic programme, where branching would not end in time
          lanes       many losses in one integer
      share           a level's total -> its plants' outputs
        sums          which totals some plants can deliver
        trail         a long chain of states, read backwards in little memory
    audit             checks a plan; shares nothing with the solver but `problem`
    explanation       reads a plan against the merit order

`EXACTNESS.md` says why the plan is the cheapest, which one among equals, and why the work ends.
"""

from app.dispatch.audit import verify
from app.dispatch.explanation import Explained, Explanation, Reason, explain
from app.dispatch.problem import Exact, Expense, Fuels, Kind, Output, Plan, Plant
from app.dispatch.solver import plan
from app.dispatch.validation import faults_of

__all__ = [
    "Exact",
    "Expense",
    "Explained",
    "Explanation",
    "Fuels",
    "Kind",
    "Output",
    "Plan",
    "Plant",
    "Reason",
    "explain",
    "faults_of",
    "plan",
    "verify",
]
