"""An independent check of a plan: its outputs, limits, steps, sum, order and cost.

It shares the data types with the solver and nothing else: every figure is worked out again, from
the problem as given, in fractions. It cannot tell that no cheaper plan exists; the tests do that.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import pairwise
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
        if output.steps and (sentence := _output_fault(named[output.name], fuels, output.steps))
    ]
    delivered = sum(output.steps for output in plan.outputs)
    if Fraction(delivered, 10) != Fraction(load):
        wrong.append(f"the outputs add up to {Fraction(delivered, 10)} MW, not {load} MW")
    costs = _Costs(fuels, co2=co2)
    return [
        *wrong,
        *_order_faults(named, plan, costs),
        *_cost_faults(named, plan, costs),
    ]


def _output_fault(plant: Plant, fuels: Fuels, steps: int) -> str | None:
    """Say why a plant that is on cannot deliver that many steps."""
    most, scale = plant.pmax.as_integer_ratio()
    if plant.kind == Kind.WINDTURBINE:
        wind, wind_scale = fuels.wind.as_integer_ratio()
        blown = most * wind * 10 // (scale * wind_scale * 100)
        return None if steps == blown else f"{plant.name} is neither off nor at the wind's output"
    least, least_scale = plant.pmin.as_integer_ratio()
    if least * 10 <= steps * least_scale and steps * scale <= most * 10:
        return None
    return f"{plant.name} is on and outside its limits"


class _Costs:
    """Marginal costs as fractions; worked out once for plants of one kind and efficiency."""

    def __init__(self, fuels: Fuels, *, co2: bool) -> None:
        self._gas = Fraction(fuels.gas)
        self._kerosine = Fraction(fuels.kerosine)
        self._emissions = Fraction(3, 10) * Fraction(fuels.co2) if co2 else Fraction(0)
        self._known: dict[tuple[str, Exact], Fraction] = {}

    def of(self, kind: Kind, efficiency: Exact) -> Fraction:
        cost = self._known.get((kind, efficiency))
        if cost is None:
            cost = self._known[kind, efficiency] = self._work_out(kind, efficiency)
        return cost

    def _work_out(self, kind: Kind, efficiency: Exact) -> Fraction:
        if kind == Kind.WINDTURBINE:
            return Fraction(0)
        if kind == Kind.TURBOJET:
            return self._kerosine / Fraction(efficiency)
        return self._gas / Fraction(efficiency) + self._emissions


def _order_faults(named: dict[str, Plant], plan: Plan, costs: _Costs) -> Iterator[str]:
    place = {name: index for index, name in enumerate(named)}
    ranks = []
    for output in plan.outputs:
        plant = named[output.name]
        ranks.append((costs.of(plant.kind, plant.efficiency), place[output.name]))
    if any(first > second for first, second in pairwise(ranks)):
        yield "the outputs are not in merit order"


def _cost_faults(named: dict[str, Plant], plan: Plan, costs: _Costs) -> Iterator[str]:
    bought: Counter[tuple[Kind, Exact]] = Counter()
    for output in plan.outputs:
        if output.steps:
            plant = named[output.name]
            bought[plant.kind, plant.efficiency] += output.steps
    parts = [steps * costs.of(*alike) for alike, steps in bought.items()]
    cost = _sum(parts) / 10
    if plan.cost != cost:
        yield f"the plan costs {cost} euro per hour, not {plan.cost}"


def _sum(parts: list[Fraction]) -> Fraction:
    """Add halves: the denominators stay short for as long as they can."""
    if len(parts) < 2:
        return parts[0] if parts else Fraction(0)
    half = len(parts) // 2
    return _sum(parts[:half]) + _sum(parts[half:])
