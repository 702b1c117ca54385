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
from operator import lt
from typing import TYPE_CHECKING, NamedTuple

from app.dispatch.problem import Exact, Fuels, Kind, Plant
from app.dispatch.quantities import Columns, quantities_of
from app.dispatch.share import is_easy, share
from app.dispatch.sums import Sums, Unit
from app.dispatch.validation import UnsoundError, names_are_sound

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from app.dispatch.quantities import Quantities

KEY_BITS = 320
_GAS, _JET, _WIND = Kind
CO2_TENTHS_OF_TON_PER_MWH = 3  # a gas-fired plant emits 0.3 t/MWh


class Level:
    """The plants of one marginal cost.

    Attributes:
        key: orders levels by cost.
        indices: the plants' places in the problem, in the order given.
        total: what all of them deliver at their greatest output.
    """

    __slots__ = ("_limits", "_ratio", "_sums", "_units", "indices", "key", "total")

    def __init__(
        self, key: int, ratio: tuple[int, int], indices: list[int], limits: Quantities
    ) -> None:
        """Gather plants; `ratio` is their cost, not necessarily in lowest terms."""
        highs = limits.highs
        self.key = key
        self.indices = indices
        if len(indices) == 1:
            self.total = highs[indices[0]]
        else:
            self.total = sum([highs[index] for index in indices])
        self._ratio = ratio
        self._limits = limits
        self._units: list[Unit] | None = None
        self._sums: Sums | None = None

    def with_units(self, units: list[Unit]) -> Level:
        """Make a level of the same cost from other limits; it has no plants to list."""
        level = Level(self.key, self._ratio, [], self._limits)
        level._units = units
        level.total = sum(unit.high for unit in units)
        return level

    @property
    def cost(self) -> tuple[int, int]:
        """Euro per MWh as (numerator, denominator), in lowest terms."""
        numerator, denominator = self._ratio
        shared = gcd(numerator, denominator)
        return numerator // shared, denominator // shared

    @property
    def units(self) -> list[Unit]:
        """The limits of the plants that can deliver a step at all, in the order given.

        Made when asked for: of most levels all plants or none run.
        """
        if self._units is None:
            lows, highs = self._limits.lows, self._limits.highs
            self._units = [Unit(lows[i], highs[i], i) for i in self.indices if highs[i]]
        return self._units

    def around(self, steps: int) -> tuple[int, int]:
        """Find the nearest totals that the level can deliver, at most and at least `steps`.

        `steps` lies within 0 and `total`, so that both exist; they are equal when it is one.
        """
        if not steps or steps == self.total:
            return steps, steps
        units = self.units
        if len(units) == 1:
            low = units[0].low
            return (steps, steps) if steps >= low else (0, low)
        if steps >= sum([unit.low for unit in units]):  # all of them run
            return steps, steps
        if self._sums is None and is_easy(units, steps):
            return steps, steps
        below, above = self.sums().around(steps)
        assert below is not None and above is not None  # noqa: PT018, S101 (0 and total are sums)
        return below, above

    def sums(self) -> Sums:
        """Give all the totals that the level can deliver; computed once."""
        if self._sums is None:
            self._sums = Sums.of(self.units, self.total)
        return self._sums

    def outputs(self, total: int) -> Iterable[tuple[int, int]]:
        """Divide a total among the plants that can run: pairs of index and steps."""
        if total == self.total:
            highs = self._limits.highs
            return [(index, highs[index]) for index in self.indices]
        parts = share(self.units, total)
        if parts is None:
            raise AssertionError("the search chose a total that the level cannot deliver")
        return zip([unit.plant for unit in self.units], parts, strict=True)


class Market(NamedTuple):
    """A problem in integers.

    Attributes:
        load: in steps.
        levels: cheapest first.
        rigid: whether no plant can be modulated.
        names: the plants', in the order given.
    """

    load: int
    levels: list[Level]
    rigid: bool
    names: list[str]


def market_of(load: Exact, fuels: Fuels, plants: Sequence[Plant], *, co2: bool) -> Market:
    """Sort plants into levels of marginal cost.

    Raises:
        UnsoundError: the problem has faults, as `app.dispatch.validation` defines them.
    """
    columns = Columns.of(plants)
    if not names_are_sound(columns.names):
        raise UnsoundError
    quantities = quantities_of(load, fuels, columns)
    levels = _levels(columns.kinds, quantities, _tariffs(quantities, co2=co2))
    rigid = not any(map(lt, quantities.lows, quantities.highs))
    return Market(quantities.load, levels, rigid, columns.names)


# What power of a kind costs: (fuel / efficiency + emissions) / scale euro per MWh, where the
# efficiency is that of `Quantities`, a multiple of their unit.
_Tariff = tuple[int, int, int]


def _tariffs(quantities: Quantities, *, co2: bool) -> dict[str, _Tariff]:
    # Efficiencies and fuel prices have the same unit, and CO2 is paid by the tenth of a ton.
    scale = quantities.unit * 10
    fuel = quantities.gas * scale
    emissions = CO2_TENTHS_OF_TON_PER_MWH * quantities.co2 if co2 else 0
    shared = gcd(fuel, emissions, scale)
    return {
        _GAS: (fuel // shared, emissions // shared, scale // shared),
        _JET: (quantities.kerosine, 0, 1),
        _WIND: (0, 0, 1),
    }


def _levels(kinds: list[Kind], quantities: Quantities, tariffs: dict[str, _Tariff]) -> list[Level]:
    """Gather plants of equal cost, cheapest first."""
    alike: dict[tuple[str, int], list[int]] = {}
    for index, pair in enumerate(zip(kinds, quantities.efficiencies, strict=True)):
        if pair in alike:
            alike[pair].append(index)
        else:
            alike[pair] = [index]
    levels: dict[int, Level] = {}
    joined = set()
    for (kind, efficiency), indices in alike.items():
        tariff = tariffs.get(kind)
        if tariff is None:
            raise UnsoundError
        fuel, emissions, scale = tariff
        numerator, denominator = fuel + emissions * efficiency, scale * efficiency
        key = (numerator << KEY_BITS) // denominator
        level = Level(key, (numerator, denominator), indices, quantities)
        known = levels.setdefault(key, level)
        if known is not level:  # turbines, or a coincidence
            known.indices += indices
            known.total += level.total
            joined.add(key)
    for key in joined:
        levels[key].indices.sort()
    return [levels[key] for key in sorted(levels)]
