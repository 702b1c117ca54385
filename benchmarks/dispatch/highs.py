"""HiGHS on the same problem, in the two ways in which its users state one.

`stated` uses highspy's modelling language, a variable and a constraint at a time, as its
documentation shows; `passed` hands over the whole matrix made with NumPy, the fastest way there is.
Both run to a gap of nothing on one thread. HiGHS works in floating point, with tolerances: its plan
is rounded to steps of 0.1 MW, checked, and priced in fractions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING, Any

import highspy
import numpy as np

from app.dispatch import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from app.dispatch import Fuels, Plant
    from benchmarks.dispatch.families import Problem

CO2_TONS_PER_MWH = Fraction(3, 10)
_ROUNDING = 1e-6
"""Steps by which a float may miss a whole number of them; limits have at most three decimals."""


class Verdict(StrEnum):
    """How HiGHS ended."""

    OPTIMAL = "optimal"
    INFEASIBLE = "infeasible"
    OUT_OF_TIME = "out of time"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Run:
    """A solver that has run, and which of its columns are the plants' outputs, in MW."""

    solver: Any
    columns: Sequence[int]


@dataclass(frozen=True, slots=True)
class Answer:
    """What HiGHS says.

    Attributes:
        verdict: how it ended.
        cost: exact cost of its plan once rounded to steps, euro per hour; None where it has no
            plan, or where the rounded plan breaks a limit or misses the load.
    """

    verdict: Verdict
    cost: Fraction | None


def passed(problem: Problem, time_limit_s: float) -> Run:
    """Build the whole model with NumPy and run it."""
    low, high, cost = arrays(problem)
    count, switched = len(problem.plants), np.nonzero(low > 0)[0]
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
    return Run(solver, range(count))


def stated(problem: Problem, time_limit_s: float) -> Run:
    """Build the model with highspy's modelling language and run it."""
    solver = _solver(time_limit_s)
    outputs = []
    for low, high, cost in zip(*(values.tolist() for values in arrays(problem)), strict=True):
        output = solver.addVariable(0, high, cost)
        if low:
            on = solver.addBinary()
            solver.addConstr(output <= high * on)
            solver.addConstr(output >= low * on)
        outputs.append(output)
    solver.addConstr(solver.qsum(outputs) == float(problem.load))
    solver.run()
    return Run(solver, [output.index for output in outputs])


def answer(run: Run, problem: Problem) -> Answer:
    """Read what a run says, its plan rounded to steps and priced exactly."""
    status = run.solver.getModelStatus()
    if status == highspy.HighsModelStatus.kInfeasible:
        return Answer(Verdict.INFEASIBLE, None)
    known = {
        highspy.HighsModelStatus.kOptimal: Verdict.OPTIMAL,
        highspy.HighsModelStatus.kTimeLimit: Verdict.OUT_OF_TIME,
    }
    values = run.solver.getSolution().col_value
    if not run.solver.getSolution().value_valid:
        return Answer(known.get(status, Verdict.NONE), None)
    steps = [round(values[column] * 10) for column in run.columns]
    return Answer(known.get(status, Verdict.NONE), cost_of(steps, problem))


def cost_of(steps: Sequence[int], problem: Problem) -> Fraction | None:
    """Exact cost of outputs in steps, euro per hour; None where they are no plan."""
    if sum(steps) != problem.load * 10:
        return None
    cost = Fraction(0)
    for plant, delivered in zip(problem.plants, steps, strict=True):
        low, high = limits(plant, problem.fuels)
        if delivered and not low <= delivered <= high:
            return None
        cost += marginal_cost(plant, problem.fuels) * delivered / 10
    return cost


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


def arrays(problem: Problem) -> tuple[NDArray[np.float64], ...]:
    """Least and greatest outputs in MW and costs in euro per MWh, of all plants at once.

    In floats, as somebody who uses HiGHS would work them out: fractions would make its part of the
    comparison slower than it is.
    """
    plants, fuels = problem.plants, problem.fuels
    count = len(plants)
    pmin = np.fromiter((float(p.pmin) for p in plants), float, count)
    pmax = np.fromiter((float(p.pmax) for p in plants), float, count)
    efficiency = np.fromiter((float(p.efficiency) for p in plants), float, count)
    is_wind = np.fromiter((p.kind is Kind.WINDTURBINE for p in plants), bool, count)
    is_jet = np.fromiter((p.kind is Kind.TURBOJET for p in plants), bool, count)
    blown = pmax * float(fuels.wind) / 100
    high = np.floor(np.where(is_wind, blown, pmax) * 10 + _ROUNDING)
    low = np.where(is_wind, high, np.ceil(pmin * 10 - _ROUNDING))
    runs = low <= high
    emissions = float(CO2_TONS_PER_MWH) * float(fuels.co2)
    fuel = np.where(is_jet, float(fuels.kerosine), float(fuels.gas)) / efficiency
    cost = np.where(is_wind, 0.0, fuel + np.where(is_jet, 0.0, emissions))
    return low * runs / 10, high * runs / 10, cost


def _solver(time_limit_s: float) -> Any:  # noqa: ANN401 - highspy has no types
    make: Any = highspy.Highs
    solver = make()
    solver.setOptionValue("output_flag", False)  # noqa: FBT003
    solver.setOptionValue("mip_rel_gap", 0.0)
    solver.setOptionValue("mip_abs_gap", 0.0)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("time_limit", time_limit_s)
    return solver
