"""Plans against an independent dynamic programme over the load, the tie rule included.

The reference keeps, for every total, the best plan in fractions; it knows neither levels nor
bounds. Every example is solved in all the solver's ways, each forced by taking the limits away that
would let a cheaper one settle it.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import app.dispatch.sweep
from app.dispatch import Exact, Fuels, Kind, Plant, plan, verify
from app.errors import InfeasibleLoadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.dispatch.merit import Level

# What has to be changed for the solver to take each of its ways.
WAYS: dict[str, dict[str, int]] = {
    "as shipped": {},
    "cases": {"commitment._FEW_NODES": 0, "commitment._MOST_NODES": 0},
    "cases given up": {
        "commitment._FEW_NODES": 0,
        "commitment._MOST_NODES": 0,
        "cases._MOST_SETTLED": 1,
    },
    "sweep": {
        "commitment._FEW_NODES": 0,
        "commitment._MOST_NODES": 0,
        "commitment._FEW_OUTSIDERS": -1,
    },
    "coarse sweep in little room": {
        "commitment._FEW_NODES": 0,
        "commitment._MOST_NODES": 0,
        "commitment._FEW_OUTSIDERS": -1,
        "sweep._PRECISION_BITS": 1,
        "trail.ROOM_BYTES": 600,
    },
    "sweep given up": {
        "commitment._FEW_NODES": 0,
        "commitment._MOST_NODES": 0,
        "commitment._FEW_OUTSIDERS": -1,
        "commitment._MUCH_WORK": 60,
        "commitment._MANY": 0,
    },
    "narrow window": {"commitment._FIRST_REACH": 1},
}


class Problem(NamedTuple):
    load: Exact
    fuels: Fuels
    plants: list[Plant]
    co2: bool = True


class Best(NamedTuple):
    """Compared field by field: cost, then level totals and outputs, negated."""

    cost: Fraction
    less_per_level: tuple[int, ...]
    less_per_plant: tuple[int, ...]


def marginal_cost(plant: Plant, problem: Problem) -> Fraction:
    fuels = problem.fuels
    if plant.kind == "windturbine":
        return Fraction(0)
    if plant.kind == "turbojet":
        return Fraction(fuels.kerosine) / Fraction(plant.efficiency)
    emissions = Fraction(fuels.co2) * 3 / 10 if problem.co2 else Fraction(0)
    return Fraction(fuels.gas) / Fraction(plant.efficiency) + emissions


def outputs_of(plant: Plant, fuels: Fuels) -> list[int]:
    if plant.kind == "windturbine":
        return [0, math.floor(Fraction(plant.pmax) * Fraction(fuels.wind) / 10)]
    low, high = math.ceil(Fraction(plant.pmin) * 10), math.floor(Fraction(plant.pmax) * 10)
    return [0, *range(low, high + 1)]


def reference(problem: Problem) -> tuple[dict[int, Best], list[str]]:
    """Give the best plan for every total, and the plants' names in merit order."""
    costs = [marginal_cost(plant, problem) for plant in problem.plants]
    levels = sorted(set(costs))
    order = sorted(range(len(costs)), key=lambda i: (costs[i], i))
    best = {0: Best(Fraction(0), (0,) * len(levels), ())}
    for i in order:
        rank = levels.index(costs[i])
        longer: dict[int, Best] = {}
        for total, (cost, levelled, outputs) in best.items():
            for power in set(outputs_of(problem.plants[i], problem.fuels)):
                less = list(levelled)
                less[rank] -= power
                one = Best(cost + costs[i] * power / 10, tuple(less), (*outputs, -power))
                if total + power not in longer or one < longer[total + power]:
                    longer[total + power] = one
        best = longer
    return best, [problem.plants[i].name for i in order]


def assert_as_reference(problem: Problem) -> None:
    load, fuels, plants, co2 = problem
    best, names = reference(problem)
    target = int(Fraction(load) * 10)
    if target not in best:
        with pytest.raises(InfeasibleLoadError) as caught:
            plan(load, fuels, plants, co2=co2)
        assert caught.value.below == max((n for n in best if n < target), default=None)
        assert caught.value.above == min((n for n in best if n > target), default=None)
        return
    found = plan(load, fuels, plants, co2=co2)
    expected = [(n, -less) for n, less in zip(names, best[target].less_per_plant, strict=True)]
    assert [tuple(output) for output in found.outputs] == expected
    assert found.cost == best[target].cost
    assert verify(load, fuels, plants, found, co2=co2) == []


def choose_way(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    for name, value in WAYS[way].items():
        monkeypatch.setattr(f"app.dispatch.{name}", value)


def tenths(n: int) -> Decimal:
    return Decimal(n).scaleb(-1)


@st.composite
def plants_of(draw: st.DrawFn, index: int) -> Plant:
    high = draw(st.integers(0, 25))
    low = draw(st.sampled_from([0, high, high // 2, high * 9 // 10]))
    efficiency = draw(st.sampled_from(["1", "0.5", "0.25", "0.2", "0.4", "0.37", "0.53"]))
    kind = draw(st.sampled_from([Kind.GASFIRED, Kind.GASFIRED, Kind.TURBOJET, Kind.WINDTURBINE]))
    return Plant(f"p{index}", kind, Decimal(efficiency), tenths(low), tenths(high))


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    plants = [draw(plants_of(index)) for index in range(draw(st.integers(1, 6)))]
    fuels = Fuels(
        gas=Decimal(draw(st.sampled_from(["13.4", "10", "0", "-3"]))),
        kerosine=Decimal(draw(st.sampled_from(["50.8", "10", "20", "0"]))),
        co2=draw(st.sampled_from([0, 10, 20])),
        wind=Decimal(draw(st.sampled_from(["0", "40", "66.6", "100"]))),
    )
    most = sum(int(Fraction(plant.pmax) * 10) for plant in plants)
    return Problem(tenths(draw(st.integers(0, most + 2))), fuels, plants, draw(st.booleans()))


@pytest.mark.parametrize("way", WAYS)
def test_any_small_problem(way: str) -> None:
    @settings(max_examples=150, deadline=None)
    @given(problems())
    def check(problem: Problem) -> None:
        with pytest.MonkeyPatch.context() as patch:
            choose_way(patch, way)
            assert_as_reference(problem)

    check()


def rigid(rng: random.Random, count: int) -> list[Plant]:
    """All or nothing, every size and cost different."""
    sizes = [tenths(rng.randrange(5, 30)) for _ in range(count)]
    return [gas(f"g{i}", rng.randrange(30, 60), size, size) for i, size in enumerate(sizes)]


def even(rng: random.Random, count: int) -> list[Plant]:
    """Even sizes and one small flexible plant, for odd loads."""
    sizes = [tenths(2 * rng.randrange(3, 15)) for _ in range(count - 1)]
    flexible = Plant("flexible", Kind.TURBOJET, Decimal("0.3"), tenths(rng.choice([0, 3])), 1)
    return [
        *(gas(f"g{i}", rng.randrange(30, 60), size, size) for i, size in enumerate(sizes)),
        flexible,
    ]


def narrow(rng: random.Random, count: int) -> list[Plant]:
    """Pmin just under Pmax, with gaps between the sums."""
    highs = [rng.randrange(10, 30) for _ in range(count)]
    return [
        gas(f"g{i}", rng.randrange(30, 60), tenths(high - 1), tenths(high))
        for i, high in enumerate(highs)
    ]


def same(rng: random.Random, count: int) -> list[Plant]:
    """Few kinds of plants, many of each."""
    makes = [(rng.choice([40, 50]), rng.randrange(8, 12), rng.randrange(12, 16)) for _ in range(2)]
    chosen = [rng.choice(makes) for _ in range(count)]
    return [gas(f"g{i}", e, tenths(low), tenths(high)) for i, (e, low, high) in enumerate(chosen)]


def arithmetic(rng: random.Random, count: int) -> list[Plant]:
    """Small sizes at costs of 1, 2, 3, ... (see ROUND_PRICES): many plans of equal cost."""
    plants = []
    for i in range(count):
        kind, efficiency = rng.choice(
            [(Kind.TURBOJET, n) for n in ("1", "0.5", "0.25", "0.2", "0.125", "0.1")]
            + [(Kind.GASFIRED, n) for n in ("1", "0.5", "0.25")]
        )
        high = rng.randrange(2, 7)
        low = high - (rng.random() < 0.2)
        plants.append(Plant(f"p{i}", kind, Decimal(efficiency), tenths(low), tenths(high)))
    return plants


def pairs(rng: random.Random, count: int) -> list[Plant]:
    """As `arithmetic`, even sizes but for a few plants: equal costs in different cases."""
    plants = arithmetic(rng, count)
    for i, plant in enumerate(plants[3:], 3):
        size = tenths(2 * rng.randrange(1, 4))
        plants[i] = replace(plant, pmin=size, pmax=size)
    return plants


def turbines(rng: random.Random, count: int) -> list[Plant]:
    """Nothing but wind: subset sums."""
    return [
        Plant(f"w{i}", Kind.WINDTURBINE, 1, 0, tenths(rng.randrange(5, 40))) for i in range(count)
    ]


def mixed(rng: random.Random, count: int) -> list[Plant]:
    """Wind that covers part of the load, and gas with a high Pmin."""
    gases = [gas(f"g{i}", rng.randrange(30, 60), 1, 2) for i in range(count // 2)]
    return [*turbines(rng, count - count // 2), *gases]


def gas(name: str, hundredths: int, pmin: Exact, pmax: Exact) -> Plant:
    return Plant(name, Kind.GASFIRED, Decimal(hundredths).scaleb(-2), pmin, pmax)


FAMILIES = [rigid, even, narrow, same, arithmetic, pairs, turbines, mixed]
ROUND_PRICES = Fuels(gas=3, kerosine=1, co2=0, wind=0)
FUELS_FOR: dict[object, Fuels] = {arithmetic: ROUND_PRICES, pairs: ROUND_PRICES}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("family", FAMILIES)
def test_hostile_families(
    family: Callable[[random.Random, int], list[Plant]], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose_way(monkeypatch, way)
    for seed in range(80 if family in FUELS_FOR else 30):
        rng = random.Random(f"{family.__name__} {seed}")
        plants = family(rng, rng.randrange(3, 10))
        fuels = Fuels(Decimal("13.4"), Decimal("50.8"), rng.choice([0, 20]), rng.choice([70, 100]))
        fuels = FUELS_FOR.get(family, fuels)
        most = sum(int(plant.pmax * 10) for plant in plants)
        assert_as_reference(Problem(tenths(rng.randrange(1, most + 1)), fuels, plants))


@pytest.mark.parametrize("way", WAYS)
def test_every_load_of_one_fleet(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    choose_way(monkeypatch, way)
    plants = [
        gas("a", 50, Decimal("2.1"), Decimal("2.5")),
        gas("b", 50, Decimal("1.4"), Decimal("1.5")),
        gas("c", 40, Decimal("0.9"), Decimal("1.1")),
        Plant("w", Kind.WINDTURBINE, 1, 0, Decimal("0.7")),
        Plant("t", Kind.TURBOJET, Decimal("0.3"), Decimal("0.3"), Decimal("0.4")),
    ]
    for load in range(65):
        problem = Problem(tenths(load), Fuels(Decimal("13.4"), Decimal("50.8"), 20, 100), plants)
        assert_as_reference(problem)


@pytest.mark.parametrize("way", WAYS)
def test_equal_plans_with_different_outsiders(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    choose_way(monkeypatch, way)
    makes = [
        (Kind.TURBOJET, "0.5", 5, 6),
        (Kind.GASFIRED, "1", 4, 4),
        (Kind.TURBOJET, "0.1", 6, 6),
        (Kind.TURBOJET, "1", 3, 3),
        (Kind.GASFIRED, "1", 5, 5),
        (Kind.TURBOJET, "0.5", 5, 6),
        (Kind.TURBOJET, "0.125", 2, 2),
        (Kind.TURBOJET, "0.2", 4, 5),
    ]
    plants = [
        Plant(f"p{index}", kind, Decimal(efficiency), tenths(low), tenths(high))
        for index, (kind, efficiency, low, high) in enumerate(makes)
    ]
    assert_as_reference(Problem(tenths(26), ROUND_PRICES, plants))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_budget_that_is_too_small_is_raised(
    family: Callable[[random.Random, int], list[Plant]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def from_next_to_nothing(levels: list[Level], origin: int) -> Iterator[int]:
        (*_, enough) = budgets(levels, origin)
        yield from (enough >> fewer for fewer in range(24, -1, -1))

    budgets = app.dispatch.sweep._budgets
    choose_way(monkeypatch, "coarse sweep in little room")
    monkeypatch.setattr(app.dispatch.sweep, "_budgets", from_next_to_nothing)
    for seed in range(20):
        rng = random.Random(f"{family.__name__} {seed}")
        plants = family(rng, rng.randrange(3, 9))
        most = sum(int(plant.pmax * 10) for plant in plants)
        fuels = Fuels(Decimal("13.4"), Decimal("50.8"), 20, 100)
        assert_as_reference(Problem(tenths(rng.randrange(1, most + 1)), fuels, plants))
