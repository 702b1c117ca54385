"""From the values of a problem to integers, all at a time.

Guarantees: every integer is exact, and every problem that `app.dispatch.validation` refuses for
its numbers raises `UnsoundError` here.

Values are judged by the way in which they are converted. A decimal is multiplied under a context
that raises `Inexact` where the product has more digits than that of an accepted value can have,
which costs nothing even for `1E+999999999`; the loops over the values are those of `map`. What
this does not settle (fractions, limits at the edge of what is accepted, whatever is wrong) is
converted value by value: slower, with the same result.
"""

from __future__ import annotations

from decimal import Context, Decimal, Inexact
from itertools import chain, repeat
from operator import gt
from typing import TYPE_CHECKING, Any, NamedTuple

from app.dispatch.problem import STEPS_PER_MW, Exact, Fuels, Kind, Plant
from app.dispatch.validation import (
    MAX_DECIMALS,
    MAX_LOAD_MW,
    MAX_PMAX_MW,
    MAX_PRICE,
    UnsoundError,
    ratio_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


class Quantities(NamedTuple):
    """The numbers of a problem; those of the plants in the order given.

    Attributes:
        load: in steps of 0.1 MW.
        gas: price in euro per MWh, times `unit`.
        kerosine: likewise.
        co2: price in euro per ton, times `unit`.
        unit: a power of ten.
        efficiencies: each times `unit`.
        lows: least output when on, in steps.
        highs: greatest output, in steps; both are 0 for a plant that can never run.
    """

    load: int
    gas: int
    kerosine: int
    co2: int
    unit: int
    efficiencies: list[int]
    lows: list[int]
    highs: list[int]


class Columns(NamedTuple):
    """What plants are given by, value by value, each in the order given."""

    names: list[str]
    kinds: list[Kind]
    efficiencies: list[Exact]
    pmins: list[Exact]
    pmaxs: list[Exact]

    @classmethod
    def of(cls, plants: Sequence[Plant]) -> Columns:
        """Read each plant once: that it is far away in memory is most of what this costs."""
        columns = cls([], [], [], [], [])
        names, kinds, efficiencies, pmins, pmaxs = columns
        for plant in plants:
            names.append(plant.name)
            kinds.append(plant.kind)
            efficiencies.append(plant.efficiency)
            pmins.append(plant.pmin)
            pmaxs.append(plant.pmax)
        return columns


def quantities_of(load: Exact, fuels: Fuels, columns: Columns) -> Quantities:
    """Convert all numbers; neither names nor kinds are judged.

    Raises:
        UnsoundError: a number is none that validation accepts.
    """
    _, kinds, efficiencies, pmins, pmaxs = columns
    values = [load, fuels.gas, fuels.kerosine, fuels.co2, fuels.wind, *efficiencies]
    turbines = [index for index, kind in enumerate(kinds) if kind == _TURBINE]
    try:
        # No subclasses, such as bool, and no floats.
        if not {*map(type, chain(values, pmins, pmaxs))} <= _PLAIN:
            raise _UnusualError
        numbers, unit = _scaled(values)
        lows, highs = _limits(pmins, pmaxs, turbines, fuels.wind)
    except (Inexact, ValueError, OverflowError):  # NaN and infinities raise the latter two
        numbers, unit = [_exactly_scaled(value) for value in values], _FINEST
        lows, highs = _limits_one_by_one(columns, fuels.wind)
    return _judged(numbers, unit, lows, highs)


def _judged(numbers: list[int], unit: int, lows: list[int], highs: list[int]) -> Quantities:
    """Check the ranges of all numbers but the limits."""
    megawatts, gas, kerosine, co2, wind, *scaled = numbers
    steps, rest = divmod(megawatts * STEPS_PER_MW, unit)
    top = MAX_PRICE * unit
    if (
        rest
        or not 0 <= steps <= MAX_LOAD_MW * STEPS_PER_MW
        or not -top <= gas <= top
        or not -top <= kerosine <= top
        or not 0 <= co2 <= top
        or not 0 <= wind <= 100 * unit
        or (scaled and not 0 < min(scaled) <= max(scaled) <= unit)
    ):
        raise UnsoundError
    return Quantities(steps, gas, kerosine, co2, unit, scaled, lows, highs)


class _UnusualError(ValueError):
    """Values that have to be looked at one by one; most are wrong."""


_PLAIN = {Decimal, int}
_TURBINE = Kind.WINDTURBINE  # members of an enumeration are slow to look up
_FINEST = 10**MAX_DECIMALS
# Short integers are faster, and more than six decimals are rare.
_UNITS = Decimal(10**6), Decimal(_FINEST)
_TEN, _TENTH = Decimal(STEPS_PER_MW), Decimal(1).scaleb(-1)
_MOST_STEPS = MAX_PMAX_MW * STEPS_PER_MW
# Products have at most 17 decimals here (the least exponent is Emin - prec + 1), and 18 digits:
# ten times a value that has no more than 18 decimals.
_TENFOLD = Context(prec=MAX_DECIMALS, Emin=0, Emax=60, traps=[Inexact]).multiply
# Exact for two accepted values or units, which have fewer than 30 digits each.
_PRODUCT = Context(prec=60, Emin=-60, Emax=60, traps=[Inexact]).multiply
# `math.floor` and `math.ceil` would look these up for each value, which takes longer than the rest.
_FLOOR, _CEIL = Decimal.__floor__, Decimal.__ceil__


def _scaled(values: list[Any]) -> tuple[list[int], int]:
    """Give values that are decimals and integers as multiples of a unit, and how many make 1."""
    for unit in _UNITS:
        products = [*map(_PRODUCT, values, repeat(unit))]
        scaled = [*map(_FLOOR, products)]
        if scaled == [*map(_CEIL, products)]:
            return scaled, int(unit)
    raise _UnusualError


def _limits(
    pmins: list[Any],
    pmaxs: list[Any],
    turbines: list[int],
    wind: Any,  # noqa: ANN401
) -> tuple[list[int], list[int]]:
    """Give the limits in steps, Pmin rounded up and Pmax rounded down."""
    least = [*map(_TENFOLD, pmins, repeat(_TEN))]
    lows = [*map(_CEIL, least)]
    highs = [*map(_FLOOR, map(_TENFOLD, pmaxs, repeat(_TEN)))]
    # Rounding hides what is wrong by less than a step: a Pmin just under 0, a Pmax just over the
    # greatest. And limits in the wrong order in steps may be in the right one as given.
    if (
        any(map(Decimal.is_signed, least))
        or any(map(gt, lows, highs))
        or max(highs, default=0) >= _MOST_STEPS
    ):
        raise _UnusualError
    share = _PRODUCT(wind, _TENTH)
    blown = map(_FLOOR, map(_PRODUCT, [pmaxs[index] for index in turbines], repeat(share)))
    for index, steps in zip(turbines, blown, strict=True):
        lows[index] = highs[index] = steps
    return lows, highs


def _exactly_scaled(value: Exact) -> int:
    numerator, denominator = ratio_of(value)
    scaled: int = numerator * (_FINEST // denominator)
    return scaled


def _limits_one_by_one(columns: Columns, wind: Exact) -> tuple[list[int], list[int]]:
    """Do what `_limits` does for values of all sorts."""
    blown = _exactly_scaled(wind)
    step = _FINEST // STEPS_PER_MW
    lows, highs = [], []
    for kind, pmin, pmax in zip(columns.kinds, columns.pmins, columns.pmaxs, strict=True):
        least, most = _exactly_scaled(pmin), _exactly_scaled(pmax)
        if not 0 <= least <= most <= MAX_PMAX_MW * _FINEST:
            raise UnsoundError
        low, high = -(-least // step), most // step
        if kind == _TURBINE:
            low = high = most * blown // (100 * _FINEST * step)
        lows.append(low if low <= high else 0)
        highs.append(high if low <= high else 0)
    return lows, highs
