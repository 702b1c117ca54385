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

from decimal import Decimal
from math import gcd
from typing import TYPE_CHECKING, NamedTuple

from app.dispatch.problem import STEPS_PER_MW, Exact, Fuels, Kind, Plant
from app.dispatch.share import is_easy
from app.dispatch.sums import Sums, Unit
from app.dispatch.validation import (
    MAX_LOAD_MW,
    MAX_PMAX_MW,
    MAX_PRICE,
    UnsoundError,
    names_are_sound,
    ratio_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY_BITS = 320
GAS, JET, WIND = (kind.value for kind in Kind)
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
        if self._sums is None and is_easy(self.units, steps):
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
    """Sort plants into levels of marginal cost.

    Raises:
        UnsoundError: the problem has faults, as `app.dispatch.validation` defines them.
    """
    steps, scale = ratio_of(load)
    steps *= STEPS_PER_MW
    wind, wind_scale = ratio_of(fuels.wind)
    if not (
        names_are_sound(plants)
        and not steps % scale
        and 0 <= steps <= MAX_LOAD_MW * STEPS_PER_MW * scale
        and 0 <= wind <= 100 * wind_scale
    ):
        raise UnsoundError
    tariff = _Tariff(fuels, co2=co2)
    _sort(plants, tariff, wind * STEPS_PER_MW, wind_scale * 100)
    return Market(steps // scale, tariff.levels())


def _sort(plants: Sequence[Plant], tariff: _Tariff, wind: int, wind_scale: int) -> None:
    """Put each plant into its level; a turbine delivers Pmax x wind / wind_scale steps."""
    levels_of = tariff.levels_of
    for index, plant in enumerate(plants):
        efficiency = plant.efficiency
        known = levels_of.get(plant.kind)
        if known is None:
            raise UnsoundError
        # only decimals are looked up: a float that equals one of them would be found too
        level = known.get(efficiency) if type(efficiency) is Decimal else None
        if level is None:
            level = tariff.add(known, efficiency)
        level.indices.append(index)
        most, scale = ratio_of(plant.pmax)
        least, least_scale = ratio_of(plant.pmin)
        if not 0 <= least * scale <= most * least_scale <= MAX_PMAX_MW * scale * least_scale:
            raise UnsoundError
        if plant.kind == WIND:
            high = low = most * wind // (scale * wind_scale)
        else:
            high = most * STEPS_PER_MW // scale
            low = -(-least * STEPS_PER_MW // least_scale)
        if high and low <= high:  # the others are listed and never run
            level.units.append(Unit(low, high, index))
            level.total += high


class _Tariff:
    """Finds the level of a plant; one per distinct cost, whatever kinds share it.

    Attributes:
        levels_of: levels by kind and efficiency, as they become known. Equal efficiencies find the
            same level whatever their types.
    """

    def __init__(self, fuels: Fuels, *, co2: bool) -> None:
        self._gas = _price(fuels.gas, -MAX_PRICE)
        self._kerosine = _price(fuels.kerosine, -MAX_PRICE)
        emitted, scale = _price(fuels.co2, 0)
        self._co2 = (CO2_TENTHS_OF_TON_PER_MWH * emitted if co2 else 0, scale * 10)
        self._by_key: dict[int, Level] = {}
        # by value: a member of the enumeration is equal to it and has a slower hash
        self.levels_of: dict[str, dict[Exact, Level]] = {GAS: {}, JET: {}, WIND: {}}

    def levels(self) -> list[Level]:
        return [self._by_key[key] for key in sorted(self._by_key)]

    def add(self, known: dict[Exact, Level], efficiency: Exact) -> Level:
        """Find or make the level of a kind of plant whose efficiency is new."""
        out, fuel = ratio_of(efficiency)
        if not 0 < out <= fuel:
            raise UnsoundError
        numerator, denominator = self._cost(known, out, fuel)
        key = (numerator << KEY_BITS) // denominator
        level = self._by_key.get(key)
        if level is None:
            shared = gcd(numerator, denominator)
            level = Level(key, (numerator // shared, denominator // shared))
            self._by_key[key] = level
        known[efficiency] = level
        return level

    def _cost(self, known: dict[Exact, Level], out: int, fuel: int) -> tuple[int, int]:
        if known is self.levels_of[WIND]:
            return 0, 1
        if known is self.levels_of[JET]:
            price, scale = self._kerosine
            return price * fuel, scale * out
        price, scale = self._gas
        emitted, unit = self._co2
        return price * fuel * unit + emitted * scale * out, scale * out * unit


def _price(value: Exact, least: int) -> tuple[int, int]:
    numerator, denominator = ratio_of(value)
    if not least * denominator <= numerator <= MAX_PRICE * denominator:
        raise UnsoundError
    return numerator, denominator
