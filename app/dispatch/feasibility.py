"""Whether a load can be met at all, and which loads nearest to it can.

When no plant can be modulated, every total is a multiple of the sizes' greatest common divisor;
totals are then counted in that unit. A total near a load is usually easy to make when plants are
many: a division of it among them proves that it is possible, and no set of totals is computed.
"""

from __future__ import annotations

from math import gcd

from app.dispatch.share import is_easy
from app.dispatch.sums import Sums, Unit


def fits_grain(units: list[Unit], load: int) -> bool:
    """Tell whether a load is a multiple of what all totals are multiples of."""
    return load % _in_grains(units)[1] == 0


def is_possible(units: list[Unit], load: int) -> bool:
    """Tell whether the units can deliver exactly `load`."""
    units, grain = _in_grains(units)
    if load % grain:
        return False
    load //= grain
    return is_easy(units, load) or load in Sums.of(units, load)


def nearest(units: list[Unit], load: int) -> tuple[int, int | None]:
    """Find the nearest totals under and over a load that is no total itself.

    The least total over it exceeds it by less than the largest unit: if it did not, it would
    still exceed it with one unit less.
    """
    most = sum(unit.high for unit in units)
    if load > most:
        return most, None
    units, grain = _in_grains(units)
    below, above = load // grain, -(-load // grain)
    if grain > 1 and is_easy(units, below) and is_easy(units, above):
        return below * grain, above * grain
    sums = Sums.of(units, above + max(unit.high for unit in units))
    under, over = sums.around(below)[0], sums.around(above)[1]
    assert under is not None and over is not None  # noqa: PT018, S101 (0 and `most` are totals)
    return under * grain, over * grain


def _in_grains(units: list[Unit]) -> tuple[list[Unit], int]:
    for low, high, _ in units:
        if low < high:
            return units, 1
    grain = gcd(*[unit.high for unit in units])
    if grain <= 1:
        return units, 1
    return [Unit(low // grain, high // grain, plant) for low, high, plant in units], grain
