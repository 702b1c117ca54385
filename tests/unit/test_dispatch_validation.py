"""What is refused, where the fault is said to lie, and what the limits still accept."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from app.dispatch import Exact, Fuels, Kind, Plant, faults_of, plan
from app.errors import Fault, InvalidProblemError

FUELS = Fuels(gas=Decimal("13.4"), kerosine=Decimal("50.8"), co2=20, wind=60)
PLANT = Plant("g", Kind.GASFIRED, Decimal("0.5"), 10, 100)


def pointers(faults: list[Fault]) -> list[str]:
    return [fault.where for fault in faults]


def test_a_sound_problem_has_no_faults() -> None:
    assert faults_of(Decimal("10.1"), FUELS, [PLANT]) == []
    assert faults_of(0, FUELS, []) == []


@pytest.mark.parametrize(
    "load", [-1, Decimal("0.05"), Fraction(1, 3), 1_000_001, Decimal("NaN"), Decimal("Infinity")]
)
def test_a_load_out_of_range_or_off_the_grid(load: Exact) -> None:
    assert pointers(faults_of(load, FUELS, [PLANT])) == ["/load"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"gas": Decimal("1E+7")}, "/fuels/gas(euro~1MWh)"),
        ({"gas": Decimal("sNaN")}, "/fuels/gas(euro~1MWh)"),
        ({"kerosine": -1_000_001}, "/fuels/kerosine(euro~1MWh)"),
        ({"co2": Decimal("-0.01")}, "/fuels/co2(euro~1ton)"),
        ({"co2": Fraction(1, 7)}, "/fuels/co2(euro~1ton)"),
        ({"wind": Decimal("100.1")}, "/fuels/wind(%)"),
        ({"wind": -1}, "/fuels/wind(%)"),
    ],
)
def test_fuels_out_of_range(change: dict[str, Any], pointer: str) -> None:
    assert pointers(faults_of(1, replace(FUELS, **change), [PLANT])) == [pointer]


def test_negative_fuel_prices_happen() -> None:
    assert faults_of(1, replace(FUELS, gas=-5, kerosine=Decimal("-0.1")), [PLANT]) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "n" * 201}, "name"),
        ({"kind": "nuclear"}, "type"),
        ({"efficiency": 0}, "efficiency"),
        ({"efficiency": Decimal("-0.5")}, "efficiency"),
        ({"efficiency": Decimal("1.01")}, "efficiency"),
        ({"efficiency": 0.5}, "efficiency"),
        ({"efficiency": Decimal("0.1234567890123456789")}, "efficiency"),
        ({"pmin": -1}, "pmin"),
        ({"pmin": 101}, "pmin"),
        ({"pmin": Fraction(1, 3)}, "pmin"),
        ({"pmax": 20_001}, "pmax"),
        ({"pmax": -1, "pmin": 0}, "pmax"),
        ({"pmax": Decimal("NaN")}, "pmax"),
        ({"pmax": Decimal("1E+999999")}, "pmax"),
        ({"pmax": True}, "pmax"),
    ],
)
def test_plants_out_of_range(change: dict[str, Any], field: str) -> None:
    faults = faults_of(1, FUELS, [replace(PLANT, name="first"), replace(PLANT, **change)])
    assert pointers(faults) == [f"/powerplants/1/{field}"]


def test_names_are_unique() -> None:
    (fault,) = faults_of(1, FUELS, [PLANT, replace(PLANT, name="h"), PLANT])
    assert fault.where == "/powerplants/2/name"
    assert "/powerplants/0" in fault.message


def test_all_faults_are_listed_at_once_and_stop_the_plan() -> None:
    plants = [replace(PLANT, efficiency=2, pmin=200), replace(PLANT, name="", pmax=-3, pmin=-4)]
    with pytest.raises(InvalidProblemError) as caught:
        plan(Decimal("-0.01"), replace(FUELS, wind=101, co2=-1), plants)
    assert pointers(list(caught.value.faults)) == [
        "/load",
        "/fuels/co2(euro~1ton)",
        "/fuels/wind(%)",
        "/powerplants/0/efficiency",
        "/powerplants/0/pmin",
        "/powerplants/1/name",
        "/powerplants/1/pmin",
        "/powerplants/1/pmax",
    ]


def test_too_many_plants() -> None:
    plants = [replace(PLANT, name=str(i)) for i in range(5_001)]
    assert pointers(faults_of(1, FUELS, plants)) == ["/powerplants"]
    assert faults_of(1, FUELS, plants[:5_000]) == []


@pytest.mark.parametrize(
    "text", ["1E+999999", "1E-999999", "0." + "1" * 200_000, "1" * 200_000, "0E-999999"]
)
def test_a_number_of_absurd_size_is_judged_at_once(text: str) -> None:
    value = Decimal(text)
    began = time.perf_counter()
    for problem in (
        (value, FUELS, [PLANT]),
        (1, replace(FUELS, gas=value), [PLANT]),
        (1, FUELS, [replace(PLANT, efficiency=value, pmin=value)]),
    ):
        assert bool(faults_of(*problem)) is not (value == 0 and problem[2] == [PLANT])
    assert time.perf_counter() - began < 0.5


def test_values_with_as_many_digits_as_are_accepted() -> None:
    fine = Decimal("0.123456789012345678")
    fuels = Fuels(gas=Decimal("999999.999999999999999999"), kerosine=fine, co2=fine, wind=fine)
    plants = [replace(PLANT, efficiency=fine), replace(PLANT, name="j", kind=Kind.TURBOJET)]
    assert plan(50, fuels, plants).cost == 50 * Fraction(fine) / Fraction(1, 2)
