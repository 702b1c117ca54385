"""An independent check of a plan: its outputs, limits, steps, sum, order and cost.

It shares the data types with the solver and nothing else: every figure is worked out again, from
the problem as given, in fractions. It cannot tell that no cheaper plan exists; the tests do that.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING

from app.dispatch.problem import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from app.dispatch.problem import Exact, Fuels, Plan, Plant


def verify(
    load: Exact, fuels: Fuels, plants: Sequence[Plant], plan: Plan, *, co2: bool = True
) -> list[str]:
    """List what is wrong with a plan, as sentences; empty when the plan holds."""
    named = {plant.name: plant for plant in plants}
    names = [output.name for output in plan.outputs]
    if sorted(names) != sorted(named):
        return ["the plan does not name every plant exactly once"]
    if uneven := [o.name for o in plan.outputs if type(o.steps) is not int]:
        return [f"{name} does not deliver a whole number of steps" for name in uneven]
    wrong = [
        sentence
        for output in plan.outputs
        if (sentence := _output_fault(named[output.name], fuels, output.steps))
    ]
    delivered = sum(output.steps for output in plan.outputs)
    if Fraction(delivered, 10) != Fraction(load):
        wrong.append(f"the outputs add up to {Fraction(delivered, 10)} MW, not {load} MW")
    return [
        *wrong,
        *_order_faults(named, fuels, plan, co2=co2),
        *_cost_faults(named, fuels, plan, co2=co2),
    ]


def _output_fault(plant: Plant, fuels: Fuels, steps: int) -> str | None:
    """Say why a plant cannot deliver that many steps."""
    if steps == 0:
        return None
    if plant.kind is Kind.WINDTURBINE:
        blown = floor(Fraction(plant.pmax) * Fraction(fuels.wind) / 100 * 10)
        return None if steps == blown else f"{plant.name} is neither off nor at the wind's output"
    low, high = ceil(Fraction(plant.pmin) * 10), floor(Fraction(plant.pmax) * 10)
    return None if low <= steps <= high else f"{plant.name} is on and outside its limits"


def _marginal_cost(plant: Plant, fuels: Fuels, *, co2: bool) -> Fraction:
    if plant.kind is Kind.WINDTURBINE:
        return Fraction(0)
    if plant.kind is Kind.TURBOJET:
        return Fraction(fuels.kerosine) / Fraction(plant.efficiency)
    emissions = Fraction(3, 10) * Fraction(fuels.co2) if co2 else Fraction(0)
    return Fraction(fuels.gas) / Fraction(plant.efficiency) + emissions


def _order_faults(named: dict[str, Plant], fuels: Fuels, plan: Plan, *, co2: bool) -> Iterator[str]:
    place = {name: index for index, name in enumerate(named)}
    rank = [
        (_marginal_cost(named[output.name], fuels, co2=co2), place[output.name])
        for output in plan.outputs
    ]
    if rank != sorted(rank):
        yield "the outputs are not in merit order"


def _cost_faults(named: dict[str, Plant], fuels: Fuels, plan: Plan, *, co2: bool) -> Iterator[str]:
    cost = sum(
        (
            Fraction(output.steps, 10) * _marginal_cost(named[output.name], fuels, co2=co2)
            for output in plan.outputs
            if output.steps
        ),
        Fraction(0),
    )
    if plan.cost != cost:
        yield f"the plan costs {cost} euro per hour, not {plan.cost}"
