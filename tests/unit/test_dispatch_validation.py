"""What is refused, where the fault is said to lie, and what the limits still accept."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dispatch import Exact, Fuels, Kind, Plant, faults_of, plan
from app.dispatch.quantities import Columns, Quantities, quantities_of
from app.dispatch.validation import UnsoundError
from app.errors import Fault, InfeasibleLoadError, InvalidProblemError

FUELS = Fuels(gas=Decimal("13.4"), kerosine=Decimal("50.8"), co2=20, wind=60)
PLANT = Plant("g", Kind.GASFIRED, Decimal("0.5"), 10, 100)


def pointers(faults: list[Fault]) -> list[str]:
    return [fault.where for fault in faults]


def refusal(load: Exact, fuels: Fuels, plants: list[Plant]) -> list[Fault]:
    """Plan, and give the faults that stand in the way."""
    try:
        plan(load, fuels, plants)
    except InvalidProblemError as error:
        return list(error.faults) or [Fault("", "refused without a fault")]
    except InfeasibleLoadError:
        pass
    return []


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
        assert refusal(*problem) == faults_of(*problem)
    assert time.perf_counter() - began < 0.5


def test_values_with_as_many_digits_as_are_accepted() -> None:
    fine = Decimal("0.123456789012345678")
    fuels = Fuels(gas=Decimal("999999.999999999999999999"), kerosine=fine, co2=fine, wind=fine)
    plants = [replace(PLANT, efficiency=fine), replace(PLANT, name="j", kind=Kind.TURBOJET)]
    assert plan(50, fuels, plants).cost == 50 * Fraction(fine) / Fraction(1, 2)


TEXTS = (
    "0", "-0", "0E-999999999", "0E+999999999", "1E-18", "1E-19", "-1E-18", "0.05", "-0.05", "0.1",
    "0.5", "0.123456", "0.1234567", "0.123456789012345678", "0.1234567890123456789", "0.99999999",
    "1", "1.00", "1.000000000000000001", "1.00000001", "1." + "0" * 70, "1." + "0" * 70 + "1",
    "19999.9", "19999.99", "19999.999999999999", "19999.9999999999999", "20000", "2E+4", "20000.05",
    "20000.000000000000000001", "100", "100.000000000000000001", "1E+6", "1000000.1", "-1E+6",
    "-1000000.1", "999999.999999999999999999", "1E+18", "-1E+18", "4E+60", "1E+999999999",
    "-1E+999999999", "1E-999999999", "NaN", "-sNaN", "Infinity", "-Infinity",
)  # fmt: skip
AWKWARD: list[Any] = [
    *map(Decimal, TEXTS), 0, 1, -1, 10, 100, 101, 20_000, 20_001, 10**6, 10**6 + 1, -(10**6),
    10**400, True, 0.5, Fraction(1, 2), Fraction(1, 3), Fraction(1, 10**18), Fraction(1, 10**19),
]  # fmt: skip
exact = st.sampled_from(AWKWARD)
sound = st.sampled_from(["0", "0.5", "1", "0.123456789012345678"]).map(Decimal)
kinds = st.sampled_from(list(Kind))


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("place", range(8))
def test_a_plan_is_refused_just_where_a_fault_is_listed(place: int, kind: Kind) -> None:
    for value in AWKWARD:
        values: list[Any] = [*map(Decimal, ("0.5", "13.4", "50.8", "20", "60", "0.5", "0", "90"))]
        values[place] = value
        load, gas, kerosine, co2, wind, *limits = values
        fuels = Fuels(gas, kerosine, co2, wind)
        plants = [PLANT, Plant("other", kind, *limits)]
        assert refusal(load, fuels, plants) == faults_of(load, fuels, plants), value


@given(
    st.lists(
        st.tuples(kinds, sound | exact, st.just(Decimal(0)) | exact, sound | exact), max_size=3
    ),
    sound | exact,
)
def test_numbers_are_the_same_all_at_a_time_and_one_by_one(
    rows: list[tuple[Kind, Any, Any, Any]], wind: Exact
) -> None:
    plants = [Plant(str(index), *row) for index, row in enumerate(rows)]
    fuels = Fuels(Decimal("0.3"), Decimal(-1), Decimal("0.0000001"), wind)

    def numbers(load: Exact) -> Quantities | None:
        try:
            return quantities_of(load, fuels, Columns.of(plants))
        except UnsoundError:
            return None

    found, expected = numbers(Decimal("0.7")), numbers(Fraction(7, 10))  # a fraction: one by one
    if found is None or expected is None:
        assert found is expected
        return
    assert (found.load, found.lows, found.highs) == (7, expected.lows, expected.highs)
    for name in ("gas", "kerosine", "co2"):
        one, other = getattr(found, name), getattr(expected, name)
        assert one * expected.unit == other * found.unit
    assert [e * expected.unit for e in found.efficiencies] == [
        e * found.unit for e in expected.efficiencies
    ]
