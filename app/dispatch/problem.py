"""What a dispatch problem and its plan are made of: plants, fuels, outputs.

Guarantees: everything here is immutable; every number is exact (`int`, `Decimal` or `Fraction`,
never `float`); power inside a plan is counted in steps of 0.1 MW.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

Exact = int | Decimal | Fraction

STEPS_PER_MW = 10


class Kind(StrEnum):
    """How a plant makes power; the values are those of the payload's `type`."""

    GASFIRED = "gasfired"
    TURBOJET = "turbojet"
    WINDTURBINE = "windturbine"


@dataclass(frozen=True, slots=True)
class Plant:
    """One power plant.

    Attributes:
        name: unique within a problem.
        kind: decides the fuel and whether the output can be modulated.
        efficiency: MWh of power out of one MWh of fuel, in (0, 1].
        pmin: least output when on, in MW; a wind turbine has no use for it.
        pmax: greatest output, in MW (at full wind, for a wind turbine).
    """

    name: str
    kind: Kind
    efficiency: Exact
    pmin: Exact
    pmax: Exact


@dataclass(frozen=True, slots=True)
class Fuels:
    """What fuel and emissions cost, and how much wind there is.

    Attributes:
        gas: euro per MWh of gas; may be negative.
        kerosine: euro per MWh of kerosine; may be negative.
        co2: euro per ton of CO2.
        wind: percentage of a turbine's Pmax that the wind allows, 0 to 100.
    """

    gas: Exact
    kerosine: Exact
    co2: Exact
    wind: Exact


class Output(NamedTuple):
    """What one plant delivers: `steps` of 0.1 MW."""

    name: str
    steps: int

    @property
    def megawatts(self) -> Decimal:
        """The output in MW, exact to one decimal."""
        return Decimal(self.steps).scaleb(-1)


class Expense(NamedTuple):
    """Power bought at one marginal cost: `steps` at `numerator / denominator` euro per MWh."""

    steps: int
    numerator: int
    denominator: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The cheapest way to meet a load.

    Attributes:
        outputs: one per plant, in merit order (marginal cost, then the order given).
        expenses: one per level of marginal cost that delivers power, in merit order.
    """

    outputs: tuple[Output, ...]
    expenses: tuple[Expense, ...]

    @property
    def cost(self) -> Fraction:
        """Exact cost in euro per hour; added up when asked for, since fractions are slow."""
        parts = [Fraction(e.steps * e.numerator, e.denominator) for e in self.expenses]
        while len(parts) > 1:  # in pairs: denominators stay short for as long as they can
            parts = [sum(parts[i : i + 2], Fraction(0)) for i in range(0, len(parts), 2)]
        return parts[0] / STEPS_PER_MW if parts else Fraction(0)
