"""HiGHS on the same problem, in the two ways in which its users state one.

`stated` uses highspy's modelling language, a variable and a constraint at a time, as its
documentation shows; `passed` hands over the whole matrix made with NumPy, the fastest way there is.
Both run to a gap of nothing on one thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING, Any

import highspy
import numpy as np

from app.dispatch import Kind

if TYPE_CHECKING:
    from app.dispatch import Fuels, Plant
    from benchmarks.dispatch.families import Problem

CO2_TONS_PER_MWH = Fraction(3, 10)


@dataclass(frozen=True, slots=True)
class Answer:
    """What HiGHS says.

    Attributes:
        verdict: optimal, infeasible, or out of time.
        cost: exact cost of its plan once rounded to steps, euro per hour; None where it has no
            plan, or where rounding breaks a limit or misses the load.
    """

    verdict: str
    cost: Fraction | None


def marginal_cost(plant: Plant, fuels: Fuels) -> Fraction:
    """Euro per MWh, CO2 allowances included."""
    if plant.kind is Kind.WINDTURBINE:
        return Fraction(0)
    if plant.kind is Kind.TURBOJET:
        return Fraction(fuels.kerosine) / Fraction(plant.efficiency)
    return Fraction(fuels.gas) / Fraction(plant.efficiency) + CO2_TONS_PER_MWH * Fraction(fuels.co2)


def limits(plant: Plant, fuels: Fuels) -> tuple[int, int]:
    """Least and greatest output when on, in steps of 0.1 MW; (0, 0) where it cannot run."""
    if plant.kind is Kind.WINDTURBINE:
        blown = floor(Fraction(plant.pmax) * Fraction(fuels.wind) / 10)
        return blown, blown
    low, high = ceil(Fraction(plant.pmin) * 10), floor(Fraction(plant.pmax) * 10)
    return (low, high) if low <= high else (0, 0)


def _solver(time_limit_s: float) -> Any:  # noqa: ANN401 - highspy has no types
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)  # noqa: FBT003
    solver.setOptionValue("mip_rel_gap", 0.0)
    solver.setOptionValue("mip_abs_gap", 0.0)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("time_limit", time_limit_s)
    return solver


def passed(problem: Problem, time_limit_s: float) -> Any:  # noqa: ANN401
    """Build the whole model with NumPy and run it; returns the solver."""
    fuels, count = problem.fuels, len(problem.plants)
    low, high = np.array([limits(p, fuels) for p in problem.plants], dtype=float).T / 10
    cost = np.array([float(marginal_cost(p, fuels)) for p in problem.plants])
    switched = np.nonzero(low > 0)[0]
    m = len(switched)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = count + m, 1 + 2 * m
    lp.col_cost_ = np.concatenate([cost, np.zeros(m)])
    lp.col_lower_ = np.zeros(count + m)
    lp.col_upper_ = np.concatenate([high, np.ones(m)])
    infinity, load = highspy.kHighsInf, float(problem.load)
    lp.row_lower_ = np.concatenate([[load], np.full(m, -infinity), np.zeros(m)])
    lp.row_upper_ = np.concatenate([[load], np.zeros(m), np.full(m, infinity)])
    # Column by column: an output is in the balance, and in two limits where it is switched.
    entries = np.ones(count, dtype=int)
    entries[switched] = 3
    start = np.concatenate([[0], np.cumsum(entries), count + 2 * m + 2 * np.arange(1, m + 1)])
    index = np.zeros(start[-1], dtype=int)
    value = np.ones(start[-1])
    at, number = start[switched], np.arange(m)
    index[at + 1], index[at + 2] = 1 + number, 1 + m + number
    switch = start[count] + 2 * number
    index[switch], index[switch + 1] = 1 + number, 1 + m + number
    value[switch], value[switch + 1] = -high[switched], -low[switched]
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = start, index, value
    kinds = highspy.HighsVarType
    lp.integrality_ = [kinds.kContinuous] * count + [kinds.kInteger] * m
    solver = _solver(time_limit_s)
    solver.passModel(lp)
    solver.run()
    return solver


def stated(problem: Problem, time_limit_s: float) -> Any:  # noqa: ANN401
    """Build the model with highspy's modelling language and run it; returns the solver."""
    solver = _solver(time_limit_s)
    outputs = []
    for plant in problem.plants:
        low, high = (steps / 10 for steps in limits(plant, problem.fuels))
        cost = float(marginal_cost(plant, problem.fuels))
        output = solver.addVariable(0, high, cost)
        if low:
            on = solver.addBinary()
            solver.addConstr(output <= high * on)
            solver.addConstr(output >= low * on)
        outputs.append(output)
    solver.addConstr(solver.qsum(outputs) == float(problem.load))
    solver.run()
    return solver


def answer_of_passed(solver: Any, problem: Problem) -> Answer:  # noqa: ANN401
    """What a solver that `passed` returns says, its plan rounded to steps and priced exactly."""
    status = solver.getModelStatus()
    if status == highspy.HighsModelStatus.kInfeasible:
        return Answer("infeasible", None)
    verdict = "optimal" if status == highspy.HighsModelStatus.kOptimal else "out of time"
    values = solver.getSolution().col_value[: len(problem.plants)]
    steps = [round(value * 10) for value in values]
    if len(steps) != len(problem.plants) or sum(steps) != problem.load * 10:
        return Answer(verdict, None)
    cost = Fraction(0)
    for plant, delivered in zip(problem.plants, steps, strict=True):
        low, high = limits(plant, problem.fuels)
        if delivered and not low <= delivered <= high:
            return Answer(verdict, None)
        cost += marginal_cost(plant, problem.fuels) * delivered / 10
    return Answer(verdict, cost)
