"""Families of problems: ordinary fleets, and those that are hostile to a solver.

A problem is drawn from a seed and a number of plants, with exact decimals, the same on any machine.
Every problem is one that `app.dispatch` accepts, up to its limit of 5,000 plants: where a fleet
could deliver more than the greatest load that there is, the load stays below it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from app.dispatch import Fuels, Kind, Plant
from app.dispatch.validation import MAX_LOAD_MW

if TYPE_CHECKING:
    from collections.abc import Callable

    Draw = Callable[[random.Random, int], "Problem"]

FUELS = Fuels(gas=Decimal("13.4"), kerosine=Decimal("50.8"), co2=Decimal(20), wind=Decimal(60))


@dataclass(frozen=True, slots=True)
class Problem:
    """A load in MW, what fuels cost, and the plants."""

    load: Decimal
    fuels: Fuels
    plants: list[Plant]


FAMILIES: dict[str, Draw] = {}
"""Every family by its name."""
ORDINARY = ("ordinary", "fine efficiencies")
"""Those that a grid operator would meet; every other is hostile."""
_MAX_LOAD = MAX_LOAD_MW * 10 - 1
"""Steps; odd, so that a load that is made odd stays below the limit."""


def _family(name: str) -> Callable[[Draw], Draw]:
    def register(draw: Draw) -> Draw:
        FAMILIES[name] = draw
        return draw

    return register


def draw(family: str, plants: int, seed: int) -> Problem:
    """Draw one problem of a family."""
    return FAMILIES[family](random.Random(f"{family} {plants} {seed}"), plants)


def _dec(number: int, places: int = 1) -> Decimal:
    return Decimal(number).scaleb(-places)


def _gas(number: int, efficiency: Decimal, low: int, high: int) -> Plant:
    """A gas-fired plant; limits in steps of 0.1 MW."""
    return Plant(f"gas{number}", Kind.GASFIRED, efficiency, _dec(low), _dec(high))


def _rigid(number: int, rng: random.Random, size: int) -> Plant:
    """A gas-fired plant that is off or at its one output."""
    return _gas(number, _dec(rng.randrange(3000, 6200), 4), size, size)


def _total(plants: list[Plant], fuels: Fuels) -> int:
    """What all plants deliver together at the most, in steps."""
    wind = Fraction(fuels.wind) / 10
    return sum(int(Fraction(p.pmax) * (wind if p.kind is Kind.WINDTURBINE else 10)) for p in plants)


def _within(
    rng: random.Random, plants: list[Plant], low: float, high: float, fuels: Fuels = FUELS
) -> Problem:
    """The plants with a load between two shares of what they can deliver."""
    most = min(_total(plants, fuels), int(_MAX_LOAD / high))
    return Problem(_dec(rng.randrange(int(most * low), int(most * high) + 1)), fuels, plants)


def _fleet(rng: random.Random, count: int, digits: int) -> tuple[list[Plant], Fuels]:
    plants = []
    for n in range(count):
        kind = rng.choices(list(Kind), [5, 2, 3])[0]
        if kind is Kind.GASFIRED:
            high = rng.randrange(50, 500)
            low = rng.randrange(20, max(21, high // 2))
            unit = 10 ** (digits - 2)
            efficiency = _dec(rng.randrange(30 * unit, 62 * unit), digits)
        elif kind is Kind.TURBOJET:
            high, low, efficiency = rng.randrange(5, 60), 0, _dec(rng.randrange(20, 40), 2)
        else:
            high, low, efficiency = rng.randrange(10, 200), 0, Decimal(1)
        plants.append(Plant(f"plant{n}", kind, efficiency, Decimal(low), Decimal(high)))
    fuels = Fuels(
        gas=_dec(rng.randrange(50, 400)),
        kerosine=_dec(rng.randrange(300, 900)),
        co2=Decimal(rng.randrange(80)),
        wind=_dec(rng.randrange(1001)),
    )
    return plants, fuels


@_family("ordinary")
def _ordinary(rng: random.Random, count: int) -> Problem:
    """Half gas-fired, a fifth turbojets, the rest wind; efficiencies of two digits."""
    plants, fuels = _fleet(rng, count, 2)
    return _within(rng, plants, 0.02, 0.98, fuels)


@_family("fine efficiencies")
def _fine(rng: random.Random, count: int) -> Problem:
    """The same, with efficiencies of four digits, so that hardly two plants cost the same."""
    plants, fuels = _fleet(rng, count, 4)
    return _within(rng, plants, 0.02, 0.98, fuels)


@_family("all wind")
def _all_wind(rng: random.Random, count: int) -> Problem:
    """Turbines only: subset sum."""
    plants = [
        Plant(f"wind{n}", Kind.WINDTURBINE, Decimal(1), Decimal(0), _dec(rng.randrange(100, 3000)))
        for n in range(count)
    ]
    fuels = Fuels(FUELS.gas, FUELS.kerosine, FUELS.co2, _dec(rng.randrange(300, 1001)))
    return _within(rng, plants, 0.1, 0.9, fuels)


@_family("identical")
def _identical(rng: random.Random, count: int) -> Problem:
    """Plants that differ in nothing but their names."""
    high = rng.randrange(500, 4000)
    low = high * rng.choice([10, 30, 50, 80, 95, 100]) // 100
    efficiency = _dec(rng.randrange(30, 60), 2)
    plants = [_gas(n, efficiency, low, high) for n in range(count)]
    return _within(rng, plants, 0.05, 0.95)


@_family("Pmin = Pmax")
def _all_rigid(rng: random.Random, count: int) -> Problem:
    """Every plant all or nothing, no two of one cost: a knapsack that must be filled exactly."""
    plants = [_rigid(n, rng, rng.randrange(500, 4000)) for n in range(count)]
    return _within(rng, plants, 0.2, 0.8)


@_family("Pmin near Pmax")
def _near(rng: random.Random, count: int) -> Problem:
    """Seven per cent of freedom each, and large gaps between what they deliver together."""
    plants = []
    for n in range(count):
        high = rng.randrange(500, 4000)
        plants.append(_gas(n, _dec(rng.randrange(3000, 6200), 4), high * 93 // 100, high))
    return _within(rng, plants, 0.1, 0.9)


@_family("near costs")
def _near_costs(rng: random.Random, count: int) -> Problem:
    """All or nothing, with efficiencies that differ in the sixth digit."""
    plants = []
    for n in range(count):
        size = rng.randrange(500, 4000)
        efficiency = Decimal("0.5") + _dec(rng.randrange(20 * count), 6)
        plants.append(_gas(n, efficiency, size, size))
    return _within(rng, plants, 0.2, 0.8)


@_family("one cost")
def _one_cost(rng: random.Random, count: int) -> Problem:
    """All of one cost: only whether the load can be met is hard."""
    plants = []
    for n in range(count):
        high = rng.randrange(500, 4000)
        plants.append(_gas(n, Decimal("0.5"), high * rng.choice([50, 90, 100]) // 100, high))
    return _within(rng, plants, 0.1, 0.9)


@_family("parity")
def _parity(rng: random.Random, count: int) -> Problem:
    """Even sizes, all or nothing, and an odd load: there is no plan, and no bound shows it."""
    plants = [_rigid(n, rng, 2 * rng.randrange(250, 2000)) for n in range(count)]
    found = _within(rng, plants, 0.2, 0.8)
    return Problem(_dec(int(found.load * 10) | 1), FUELS, plants)


@_family("parity, one way out")
def _parity_flexible(rng: random.Random, count: int) -> Problem:
    """The same with one dear plant that can make up the odd step."""
    found = _parity(rng, max(count - 1, 1))
    return Problem(found.load, FUELS, [*found.plants, _gas(count, Decimal("0.29"), 300, 2000)])


@_family("few odd plants")
def _few_odd(rng: random.Random, count: int) -> Problem:
    """Even sizes but for a tenth, which are odd and dear; the load is odd."""
    plants = []
    for n in range(count):
        odd = n % 10 == 0
        size = 2 * rng.randrange(250, 2000) + odd
        efficiency = _dec(rng.randrange(1500, 1600) if odd else rng.randrange(3000, 6200), 4)
        plants.append(_gas(n, efficiency, size, size))
    found = _within(rng, [p for p in plants if p.efficiency > Decimal("0.2")] or plants, 0.2, 0.8)
    return Problem(_dec(int(found.load * 10) | 1), FUELS, plants)


@_family("edge of the least load")
def _edge_low(rng: random.Random, count: int) -> Problem:
    """Loads that hardly any plant may deliver alone."""
    plants, fuels = _fleet(rng, count, 2)
    return Problem(_dec(rng.randrange(400)), fuels, plants)


@_family("edge of the greatest load")
def _edge_high(rng: random.Random, count: int) -> Problem:
    """Loads that take almost everything there is."""
    plants, fuels = _fleet(rng, count, 2)
    most = min(_total(plants, fuels), _MAX_LOAD)
    return Problem(_dec(max(0, most - rng.randrange(400))), fuels, plants)


@_family("no plan")
def _no_plan(rng: random.Random, count: int) -> Problem:
    """Alike plants, and a load in a gap between what some and what one more of them deliver."""
    low = rng.randrange(300, 900) * 10
    room = rng.randrange(300)
    on = rng.randrange(max(1, min(count, low // max(room, 1) - 1, _MAX_LOAD // (low + room) - 1)))
    load = rng.randrange(on * (low + room) + 1, max((on + 1) * low - 1, on * (low + room) + 1) + 1)
    plants = [_gas(n, _dec(rng.randrange(3000, 6200), 4), low, low + room) for n in range(count)]
    return Problem(_dec(load), FUELS, plants)


@_family("wind and gas")
def _wind_and_gas(rng: random.Random, count: int) -> Problem:
    """Half turbines, with a load near what the wind delivers alone."""
    plants = []
    for n in range(count):
        if n % 2:
            high = rng.randrange(100, 3000)
            plants.append(Plant(f"wind{n}", Kind.WINDTURBINE, Decimal(1), Decimal(0), _dec(high)))
        else:
            high = rng.randrange(500, 4000)
            plants.append(_gas(n, _dec(rng.randrange(30, 62), 2), high * 6 // 10, high))
    fuels = Fuels(FUELS.gas, FUELS.kerosine, FUELS.co2, Decimal(90))
    wind = _total([p for p in plants if p.kind is Kind.WINDTURBINE], fuels)
    return Problem(_dec(rng.randrange(wind // 3, wind + wind // 5 + 1)), fuels, plants)
