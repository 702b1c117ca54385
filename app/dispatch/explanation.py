"""Why each plant is on or off: a plan read against the merit order.

The marginal plant is the dearest one that delivers more than it must, so the one that would give
way if the load fell by a step; its marginal cost is the marginal price. Plants before it run in
full and plants after it are off, save where a Pmin, or a turbine's all or nothing, does not fit the
rest of the load; those are told apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from app.dispatch.merit import CO2_TENTHS_OF_TON_PER_MWH, market_of
from app.dispatch.problem import STEPS_PER_MW, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.dispatch.problem import Exact, Fuels, Plan, Plant


class Reason(StrEnum):
    """Why a plant delivers what it does."""

    IN_FULL = "in-full"
    MARGINAL = "marginal"
    AT_PMIN = "at-pmin"
    SQUEEZED_OUT = "squeezed-out"
    NOT_NEEDED = "not-needed"
    NO_WIND = "no-wind"
    CANNOT_RUN = "cannot-run"

    @property
    def sentence(self) -> str:
        """The reason in words."""
        return _SENTENCES[self]


_SENTENCES = {
    Reason.IN_FULL: "on at its greatest output: it is not dearer than the marginal plant",
    Reason.MARGINAL: "on in part: it delivers what the others leave of the load",
    Reason.AT_PMIN: "on at its Pmin: no cheaper set of plants meets the load exactly",
    Reason.SQUEEZED_OUT: "off although it is cheaper than one that runs: its output does not fit",
    Reason.NOT_NEEDED: "off: the plants before it in merit order meet the load",
    Reason.NO_WIND: "off: the wind gives it less than 0.1 MW",
    Reason.CANNOT_RUN: "off: there is no step of 0.1 MW between its Pmin and its Pmax",
}


class Explained(NamedTuple):
    """One plant of a plan.

    Attributes:
        marginal_cost: euro per MWh.
        low: steps that it delivers at least when on; 0 where it cannot run.
        high: steps that it delivers at most.
        steps: what it delivers.
    """

    plant: Plant
    marginal_cost: Fraction
    low: int
    high: int
    steps: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Explanation:
    """A plan with its reasons.

    Attributes:
        plants: one per plant, in merit order.
        marginal_price: euro per MWh of the marginal plant; None where nothing runs.
        co2_tons: tons of CO2 per hour, of the gas-fired plants.
    """

    plants: tuple[Explained, ...]
    marginal_price: Fraction | None
    co2_tons: Fraction


def explain(
    load: Exact, fuels: Fuels, plants: Sequence[Plant], plan: Plan, *, co2: bool = True
) -> Explanation:
    """Explain a plan that `app.dispatch.plan` made of the same problem."""
    delivered = {output.name: output.steps for output in plan.outputs}
    rows: list[tuple[Plant, Fraction, int, int, int]] = []
    for level in market_of(load, fuels, plants, co2=co2).levels:
        limits = {unit.plant: (unit.low, unit.high) for unit in level.units}
        cost = Fraction(*level.cost)
        for index in level.indices:
            low, high = limits.get(index, (0, 0))
            rows.append((plants[index], cost, low, high, delivered[plants[index].name]))
    running = [cost for _, cost, _, _, steps in rows if steps]
    giving = [cost for _, cost, low, _, steps in rows if steps > low]
    price = giving[-1] if giving else running[-1] if running else None
    dearest = running[-1] if running else None
    gas = sum(steps for plant, _, _, _, steps in rows if plant.kind == Kind.GASFIRED)
    return Explanation(
        tuple(Explained(*row, _reason(*row, dearest)) for row in rows),
        price,
        Fraction(gas * CO2_TENTHS_OF_TON_PER_MWH, STEPS_PER_MW * 10),
    )


def _reason(
    plant: Plant, cost: Fraction, low: int, high: int, steps: int, dearest: Fraction | None
) -> Reason:
    if not high:
        return Reason.NO_WIND if plant.kind == Kind.WINDTURBINE else Reason.CANNOT_RUN
    if steps == high:
        return Reason.IN_FULL
    if steps:
        return Reason.MARGINAL if steps > low else Reason.AT_PMIN
    return Reason.SQUEEZED_OUT if dearest is not None and cost < dearest else Reason.NOT_NEEDED
