"""From plants to levels of marginal cost in merit order, all in integers.

A level is every plant with exactly the same marginal cost, in the order given. Which plant of a
level runs does not change the cost, so the search decides one total per level and leaves its
division to `app.dispatch.share`. Limits are in steps of 0.1 MW.

Guarantee: two levels compare by `key` exactly as their costs do. `key` is the cost in units of
2**-320 euro/MWh, rounded down; costs that differ, differ by more than that unit, because each is a
fraction whose denominator divides price x efficiency x CO2 x 10 (at most 10**18 each; two of them
multiply to less than 2**306).
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, NamedTuple

from app.dispatch.problem import STEPS_PER_MW, Exact, Fuels, Kind, Plant
from app.dispatch.sums import Sums, Unit

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY_BITS = 320
CO2_TENTHS_OF_TON_PER_MWH = 3  # a gas-fired plant emits 0.3 t/MWh


class Level:
    """The plants of one marginal cost.

    Attributes:
        key: orders levels by cost.
        cost: euro per MWh as (numerator, denominator), in lowest terms.
        indices: the plants' places in the problem, in the order given.
        units: the limits of those that can deliver a step at all, in the same order.
        total: what all of them deliver at their greatest output.
    """

    __slots__ = ("_sums", "cost", "indices", "key", "total", "units")

    def __init__(self, key: int, cost: tuple[int, int]) -> None:
        self.key = key
        self.cost = cost
        self.indices: list[int] = []
        self.units: list[Unit] = []
        self.total = 0
        self._sums: Sums | None = None

    def around(self, steps: int) -> tuple[int, int]:
        """Find the nearest totals that the level can deliver, at most and at least `steps`.

        `steps` lies within 0 and `total`, so that both exist; they are equal when it is one.
        """
        if len(self.units) == 1:
            low = self.units[0].low
            return (steps, steps) if steps >= low or not steps else (0, low)
        if not steps or steps == self.total:
            return steps, steps
        below, above = self.sums().around(steps)
        assert below is not None and above is not None  # noqa: PT018, S101 (0 and total are sums)
        return below, above

    def sums(self) -> Sums:
        """Give all the totals that the level can deliver; computed once."""
        if self._sums is None:
            self._sums = Sums.of(self.units, self.total)
        return self._sums


class Market(NamedTuple):
    """A problem in integers: the load in steps and the levels, cheapest first."""

    load: int
    levels: list[Level]


def market_of(load: Exact, fuels: Fuels, plants: Sequence[Plant], *, co2: bool) -> Market:
    """Sort the plants of a sound problem into levels of marginal cost."""
    tariff = _Tariff(fuels, co2=co2)
    gas, jets, turbines = tariff.gas, tariff.jets, tariff.turbines
    gasfired, turbojet = Kind.GASFIRED, Kind.TURBOJET
    wind, wind_scale = fuels.wind.as_integer_ratio()
    wind *= STEPS_PER_MW
    wind_scale *= 100
    for index, plant in enumerate(plants):
        kind, efficiency = plant.kind, plant.efficiency
        known = gas if kind == gasfired else jets if kind == turbojet else turbines
        level = known.get(efficiency) or tariff.add(known, efficiency)
        level.indices.append(index)
        most, scale = plant.pmax.as_integer_ratio()
        if known is turbines:
            high = low = most * wind // (scale * wind_scale)
        else:
            high = most * STEPS_PER_MW // scale
            least, scale = plant.pmin.as_integer_ratio()
            low = -(-least * STEPS_PER_MW // scale)
        if high and low <= high:  # the others are listed and never run
            level.units.append(Unit(low, high, index))
            level.total += high
    steps, scale = load.as_integer_ratio()
    return Market(steps * STEPS_PER_MW // scale, tariff.levels())


class _Tariff:
    """Finds the level of a plant; one per distinct cost, whatever kinds share it."""

    def __init__(self, fuels: Fuels, *, co2: bool) -> None:
        self._gas = fuels.gas.as_integer_ratio()
        self._kerosine = fuels.kerosine.as_integer_ratio()
        emitted, scale = fuels.co2.as_integer_ratio()
        self._co2 = (CO2_TENTHS_OF_TON_PER_MWH * emitted if co2 else 0, scale * 10)
        # Levels by efficiency. Equal numbers find the same level whatever their types.
        self.gas: dict[Exact, Level] = {}
        self.jets: dict[Exact, Level] = {}
        self.turbines: dict[Exact, Level] = {}
        self._by_key: dict[int, Level] = {}

    def levels(self) -> list[Level]:
        return [self._by_key[key] for key in sorted(self._by_key)]

    def add(self, known: dict[Exact, Level], efficiency: Exact) -> Level:
        """Find or make the level of a kind of plant whose efficiency is new."""
        numerator, denominator = self._cost(known, efficiency)
        key = (numerator << KEY_BITS) // denominator
        level = self._by_key.get(key)
        if level is None:
            shared = gcd(numerator, denominator)
            level = Level(key, (numerator // shared, denominator // shared))
            self._by_key[key] = level
        known[efficiency] = level
        return level

    def _cost(self, known: dict[Exact, Level], efficiency: Exact) -> tuple[int, int]:
        if known is self.turbines:
            return 0, 1
        price, scale = self._gas if known is self.gas else self._kerosine
        out, fuel = efficiency.as_integer_ratio()
        numerator, denominator = price * fuel, scale * out
        if known is self.gas:
            emitted, unit = self._co2
            numerator = numerator * unit + emitted * denominator
            denominator *= unit
        return numerator, denominator
