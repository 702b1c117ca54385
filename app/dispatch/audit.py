"""An independent check of a plan: its outputs, limits, steps, sum, order and cost.

It shares the data types with the solver and nothing else: every figure is worked out again, from
the problem as given, in whole numbers. It cannot tell that no cheaper plan exists; the tests do.
"""

from __future__ import annotations

from fractions import Fraction
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
    wanted, scale = load.as_integer_ratio()
    if delivered * scale != wanted * 10:
        wrong.append(f"the outputs add up to {Fraction(delivered, 10)} MW, not {load} MW")
    cost_of = _Costs(fuels, co2=co2).of
    costs = [cost_of(named[name]) for name in names]
    place = {name: index for index, name in enumerate(named)}
    return [
        *wrong,
        *_order_faults(costs, [place[name] for name in names]),
        *_cost_faults(plan, costs),
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
    """Marginal costs, each as numerator and denominator, which is positive.

    Worked out once for plants of one kind and efficiency, and not reduced: it is compared, by
    multiplying crosswise, more often than it is added up.
    """

    def __init__(self, fuels: Fuels, *, co2: bool) -> None:
        self._prices = {
            Kind.GASFIRED: fuels.gas.as_integer_ratio(),
            Kind.TURBOJET: fuels.kerosine.as_integer_ratio(),
        }
        tons, scale = fuels.co2.as_integer_ratio()
        self._emissions = (3 * tons, 10 * scale) if co2 else (0, 1)
        self._known: dict[tuple[str, Exact], tuple[int, int]] = {}

    def of(self, plant: Plant) -> tuple[int, int]:
        alike = (plant.kind, plant.efficiency)
        cost = self._known.get(alike)
        if cost is None:
            cost = self._known[alike] = self._work_out(plant)
        return cost

    def _work_out(self, plant: Plant) -> tuple[int, int]:
        if plant.kind == Kind.WINDTURBINE:
            return 0, 1
        price, scale = self._prices[plant.kind]
        power, fuel = plant.efficiency.as_integer_ratio()
        numerator, denominator = price * fuel, scale * power
        if plant.kind == Kind.TURBOJET:
            return numerator, denominator
        tons, per = self._emissions
        return numerator * per + tons * denominator, denominator * per


def _order_faults(costs: list[tuple[int, int]], places: list[int]) -> Iterator[str]:
    for (low, scale), (high, other_scale), first, second in zip(
        costs, costs[1:], places, places[1:], strict=False
    ):
        step_up = high * scale - low * other_scale
        if step_up < 0 or (step_up == 0 and first > second):
            yield "the outputs are not in merit order"
            return


def _cost_faults(plan: Plan, costs: list[tuple[int, int]]) -> Iterator[str]:
    bought = _bought(plan, costs)
    if len(bought) == len(plan.expenses) and all(
        steps == expense.steps and numerator * expense.denominator == expense.numerator * scale
        for (steps, numerator, scale), expense in zip(bought, plan.expenses, strict=True)
    ):
        return
    # Not told apart level by level; what counts is the sum.
    cost = _sum([Fraction(steps * numerator, scale) for steps, numerator, scale in bought]) / 10
    if plan.cost != cost:
        yield f"the plan costs {cost} euro per hour, not {plan.cost}"


def _bought(plan: Plan, costs: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """The steps that outputs of one cost, one after another, deliver together, and that cost."""
    bought: list[tuple[int, int, int]] = []
    for output, (numerator, scale) in zip(plan.outputs, costs, strict=True):
        if not output.steps:
            continue
        if bought and bought[-1][1] * scale == numerator * bought[-1][2]:
            bought[-1] = (bought[-1][0] + output.steps, *bought[-1][1:])
        else:
            bought.append((output.steps, numerator, scale))
    return bought


def _sum(parts: list[Fraction]) -> Fraction:
    """Add halves: the denominators stay short for as long as they can."""
    if len(parts) < 2:
        return parts[0] if parts else Fraction(0)
    half = len(parts) // 2
    return _sum(parts[:half]) + _sum(parts[half:])
