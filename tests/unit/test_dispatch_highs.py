"""Plans of larger problems against HiGHS, a mixed-integer solver, run to a gap of nothing.

HiGHS works in floating point: its answer is rounded to steps of 0.1 MW, and what it then costs is
worked out exactly. Ours may not cost more, and not less than HiGHS's tolerance explains.
"""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING

import highspy
import pytest

from app.dispatch import Fuels, Kind, Plant, plan, verify
from app.errors import InfeasibleLoadError

if TYPE_CHECKING:
    from collections.abc import Callable

FUELS = Fuels(gas=Decimal("13.4"), kerosine=Decimal("50.8"), co2=20, wind=Decimal("63.7"))


def limits(plant: Plant) -> tuple[int, int]:
    if plant.kind is Kind.WINDTURBINE:
        blown = floor(Fraction(plant.pmax) * Fraction(FUELS.wind) / 10)
        return blown, blown
    return ceil(plant.pmin * 10), floor(plant.pmax * 10)


def marginal_cost(plant: Plant) -> Fraction:
    if plant.kind is Kind.WINDTURBINE:
        return Fraction(0)
    if plant.kind is Kind.TURBOJET:
        return Fraction(FUELS.kerosine) / Fraction(plant.efficiency)
    return Fraction(FUELS.gas) / Fraction(plant.efficiency) + Fraction(FUELS.co2) * 3 / 10


def highs_cost(load: int, plants: list[Plant]) -> Fraction | None:
    """Give the exact cost of HiGHS's plan for a load in steps, None if it finds there is none."""
    model = highspy.Highs()  # type: ignore[no-untyped-call, unused-ignore]
    model.setOptionValue("output_flag", False)  # noqa: FBT003
    model.setOptionValue("mip_rel_gap", 0.0)
    model.setOptionValue("mip_abs_gap", 0.0)
    model.setOptionValue("threads", 1)
    outputs = []
    for plant in plants:
        low, high = limits(plant)
        power = model.addVariable(0, high, float(marginal_cost(plant)))
        if low:
            on = model.addBinary()
            model.addConstr(power <= high * on)
            model.addConstr(power >= low * on)
        outputs.append(power)
    model.addConstr(sum(outputs[1:], outputs[0]) == load)
    model.run()
    if model.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        assert model.getModelStatus() == highspy.HighsModelStatus.kInfeasible
        return None
    steps = [round(value) for value in model.getSolution().col_value]
    values = [steps[power.index] for power in outputs]
    assert sum(values) == load
    pairs = zip(values, plants, strict=True)
    return sum((Fraction(n, 10) * marginal_cost(plant) for n, plant in pairs), Fraction(0))


def assert_as_cheap_as_highs(load: int, plants: list[Plant]) -> None:
    expected = highs_cost(load, plants)
    exact_load = Decimal(load).scaleb(-1)
    if expected is None:
        with pytest.raises(InfeasibleLoadError):
            plan(exact_load, FUELS, plants)
        return
    found = plan(exact_load, FUELS, plants)
    assert verify(exact_load, FUELS, plants, found) == []
    assert found.cost <= expected
    assert expected - found.cost <= expected / 10**6


def typical(rng: random.Random, count: int) -> list[Plant]:
    plants = []
    for i in range(count):
        kind = rng.choices(list(Kind), [5, 2, 3])[0]
        high = rng.randrange(50, 5000) if kind is Kind.GASFIRED else rng.randrange(50, 600)
        low = high * rng.choice([0, 20, 40, 60]) // 100 if kind is Kind.GASFIRED else 0
        efficiency = Decimal(rng.randrange(200, 620)).scaleb(-3)
        limit = Decimal(low).scaleb(-1), Decimal(high).scaleb(-1)
        plants.append(Plant(f"p{i}", kind, efficiency, *limit))
    return plants


def narrow(rng: random.Random, count: int) -> list[Plant]:
    """Pmin close to Pmax, and now and then equal to it."""
    plants = []
    for i in range(count):
        high = rng.randrange(500, 4000)
        low = high * rng.choice([90, 95, 100]) // 100
        efficiency = Decimal(rng.randrange(300, 620)).scaleb(-3)
        limit = Decimal(low).scaleb(-1), Decimal(high).scaleb(-1)
        plants.append(Plant(f"p{i}", Kind.GASFIRED, efficiency, *limit))
    return plants


def odd(rng: random.Random, count: int) -> list[Plant]:
    """Even sizes, all or nothing, but for two dear plants."""
    plants = []
    for i in range(count):
        size = Decimal(2 * rng.randrange(250, 2000) + (i < 2)).scaleb(-1)
        efficiency = Decimal(rng.randrange(3000, 6200) if i > 1 else 1500 + i).scaleb(-4)
        plants.append(Plant(f"p{i}", Kind.GASFIRED, efficiency, size, size))
    return plants


@pytest.mark.parametrize("count", [12, 18])
def test_as_cheap_as_highs_where_few_plants_are_odd(count: int) -> None:
    for seed in range(5):
        rng = random.Random(f"odd {count} {seed}")
        plants = odd(rng, count)
        most = sum(limits(p)[1] for p in plants)
        assert_as_cheap_as_highs(rng.randrange(most // 4, most * 3 // 4) | 1, plants)


@pytest.mark.parametrize("way", ["search", "sweep"])
@pytest.mark.parametrize("family", [typical, narrow])
@pytest.mark.parametrize(("count", "repeats"), [(4, 12), (8, 12), (15, 12), (40, 6), (120, 3)])
def test_as_cheap_as_highs(
    count: int,
    repeats: int,
    family: Callable[[random.Random, int], list[Plant]],
    way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if way == "sweep":
        monkeypatch.setattr("app.dispatch.commitment._FEW_NODES", 0)
        monkeypatch.setattr("app.dispatch.commitment._MOST_NODES", 0)
    for seed in range(repeats):
        rng = random.Random(f"{family.__name__} {count} {seed}")
        plants = family(rng, count)
        assert_as_cheap_as_highs(rng.randrange(sum(limits(p)[1] for p in plants)), plants)
