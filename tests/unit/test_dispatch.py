"""Plans for known problems: the challenge's payloads, the rule between equals, the odd cases."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from app.dispatch import Exact, Fuels, Kind, Plan, Plant, plan, verify
from app.errors import InfeasibleLoadError

FUELS = Fuels(gas=Decimal("13.4"), kerosine=Decimal("50.8"), co2=20, wind=60)
PLANTS = (
    Plant("gasfiredbig1", Kind.GASFIRED, Decimal("0.53"), 100, 460),
    Plant("gasfiredbig2", Kind.GASFIRED, Decimal("0.53"), 100, 460),
    Plant("gasfiredsomewhatsmaller", Kind.GASFIRED, Decimal("0.37"), 40, 210),
    Plant("tj1", Kind.TURBOJET, Decimal("0.3"), 0, 16),
    Plant("windpark1", Kind.WINDTURBINE, 1, 0, 150),
    Plant("windpark2", Kind.WINDTURBINE, 1, 0, 36),
)
PAYLOAD_1 = (480, FUELS, PLANTS)
PAYLOAD_2 = (480, replace(FUELS, wind=0), PLANTS)
PAYLOAD_3 = (910, FUELS, PLANTS)


def gas(name: str, efficiency: str, pmin: Exact, pmax: Exact) -> Plant:
    return Plant(name, Kind.GASFIRED, Decimal(efficiency), pmin, pmax)


def wind(name: str, pmax: Exact) -> Plant:
    return Plant(name, Kind.WINDTURBINE, 1, 0, pmax)


def jet(name: str, pmax: Exact) -> Plant:
    return Plant(name, Kind.TURBOJET, Decimal("0.3"), 0, pmax)


def steps(found: Plan) -> dict[str, int]:
    return {output.name: output.steps for output in found.outputs}


def running(found: Plan) -> dict[str, int]:
    return {name: power for name, power in steps(found).items() if power}


def test_payload_1_leaves_one_big_plant_for_what_the_wind_does_not_cover() -> None:
    # 90 + 21.6 of wind; 368.4 is within the limits of either big plant, the first given takes it
    found = plan(*PAYLOAD_1)
    assert running(found) == {"windpark1": 900, "windpark2": 216, "gasfiredbig1": 3684}
    assert found.cost == Fraction("368.4") * (Fraction("13.4") / Fraction("0.53") + 6)


def test_payload_2_lowers_the_first_big_plant_to_make_room_for_the_seconds_pmin() -> None:
    # no wind: 460 leaves 20, which no gas plant can deliver alone and tj1 (16) cannot either
    found = plan(*PAYLOAD_2)
    assert [(o.name, o.steps) for o in found.outputs] == [
        ("windpark1", 0),
        ("windpark2", 0),
        ("gasfiredbig1", 3800),
        ("gasfiredbig2", 1000),
        ("gasfiredsomewhatsmaller", 0),
        ("tj1", 0),
    ]


def test_payload_3_to_the_letter() -> None:
    assert [(o.name, str(o.megawatts)) for o in plan(*PAYLOAD_3).outputs] == [
        ("windpark1", "90.0"),
        ("windpark2", "21.6"),
        ("gasfiredbig1", "460.0"),
        ("gasfiredbig2", "338.4"),
        ("gasfiredsomewhatsmaller", "0.0"),
        ("tj1", "0.0"),
    ]


@pytest.mark.parametrize("payload", [PAYLOAD_1, PAYLOAD_2, PAYLOAD_3])
@pytest.mark.parametrize("co2", [True, False])
def test_the_payloads_plans_pass_the_audit(
    payload: tuple[Exact, Fuels, tuple[Plant, ...]],
    co2: bool,  # noqa: FBT001
) -> None:
    assert verify(*payload, plan(*payload, co2=co2), co2=co2) == []


def test_co2_decides_between_gas_and_kerosine() -> None:
    plants = [gas("g", "0.5", 0, 10), Plant("t", Kind.TURBOJET, Decimal("0.5"), 0, 10)]
    fuels = Fuels(gas=20, kerosine=21, co2=100, wind=0)
    assert running(plan(10, fuels, plants)) == {"t": 100}
    assert running(plan(10, fuels, plants, co2=False)) == {"g": 100}


def test_a_negative_gas_price_puts_gas_before_wind_and_the_wasteful_plant_first() -> None:
    plants = [wind("w", 10), gas("good", "0.6", 0, 10), gas("poor", "0.3", 0, 10)]
    found = plan(15, Fuels(gas=-10, kerosine=1, co2=0, wind=100), plants)
    assert list(steps(found).items()) == [("poor", 100), ("good", 50), ("w", 0)]
    assert found.cost == -10 * (10 / Fraction("0.3") + 5 / Fraction("0.6"))


def test_free_gas_shares_the_winds_place_in_the_order_given() -> None:
    plants = [gas("a", "0.6", 0, 10), wind("w", 10), gas("b", "0.3", 0, 10)]
    found = plan(15, Fuels(gas=0, kerosine=1, co2=0, wind=100), plants)
    assert list(steps(found).items()) == [("a", 100), ("w", 0), ("b", 50)]
    assert found.cost == 0


def test_wind_is_all_or_nothing_and_rounded_down() -> None:
    plants = [wind("w1", Decimal("3.37")), jet("t", 50)]
    fuels = replace(FUELS, wind=Decimal("33.3"))  # 1.12221 MW
    assert running(plan(2, fuels, plants)) == {"w1": 11, "t": 9}
    assert running(plan(1, fuels, plants)) == {"t": 10}


def test_limits_are_rounded_into_the_range() -> None:
    plants = [gas("g", "0.5", Decimal("1.01"), Decimal("2.09")), jet("t", 9)]
    assert running(plan(Decimal("2.1"), FUELS, plants)) == {"g": 20, "t": 1}
    assert running(plan(1, FUELS, plants)) == {"t": 10}


def test_a_plant_without_a_whole_step_between_its_limits_stays_off_in_its_place() -> None:
    plants = [jet("t", 9), gas("g", "0.5", Decimal("1.01"), Decimal("1.09"))]
    assert list(steps(plan(9, FUELS, plants)).items()) == [("g", 0), ("t", 90)]


def test_no_load_needs_no_plant() -> None:
    found = plan(0, FUELS, PLANTS)
    assert list(steps(found).values()) == [0] * len(PLANTS)
    assert found.cost == 0
    assert plan(0, FUELS, []).outputs == ()


def test_of_equal_plans_the_one_with_more_from_cheaper_levels_is_chosen() -> None:
    # costs 1, 2 and 3 per MWh: 5 + 5 of the outer levels cost what 10 of the middle one costs
    plants = [gas("a", "1", 5, 5), gas("b", "0.5", 10, 10), gas("c", "0.25", 5, 5)]
    fuels = Fuels(gas=1, kerosine=1, co2=0, wind=0)
    assert running(plan(10, fuels, plants)) == {"b": 100}
    plants = [gas("a", "1", 5, 5), gas("b", "0.5", 10, 10)]
    plants.append(Plant("c", Kind.TURBOJET, Decimal(1), 5, 5))
    assert running(plan(10, replace(fuels, kerosine=3), plants)) == {"a": 50, "c": 50}


def test_within_a_level_the_first_given_deliver_the_most() -> None:
    plants = [gas(name, "0.5", 40, 100) for name in "abc"]
    assert list(steps(plan(210, FUELS, plants)).values()) == [1000, 700, 400]
    assert list(steps(plan(100, FUELS, plants)).values()) == [1000, 0, 0]
    assert list(steps(plan(120, FUELS, plants)).values()) == [800, 400, 0]


@pytest.mark.parametrize("order", list(itertools.permutations(range(5))))
def test_the_order_given_changes_nothing_but_ties(order: tuple[int, ...]) -> None:
    plants = [PLANTS[i] for i in (0, 2, 3, 4, 5)]  # all of different cost or size
    found = plan(Decimal("318.1"), FUELS, [plants[i] for i in order])
    expected = plan(Decimal("318.1"), FUELS, plants)
    assert (steps(found), found.cost) == (steps(expected), expected.cost)


@pytest.mark.parametrize(
    ("load", "plants", "below", "above"),
    [
        (50, [], 0, None),
        (50, [gas("a", "0.5", 100, 200)], 0, 1000),
        (250, [gas("a", "0.5", 100, 200), gas("b", "0.4", 300, 300)], 2000, 3000),
        (1000, [gas("a", "0.5", 100, 200), wind("w", 100)], 2600, None),
        (Decimal("0.1"), [wind("w", 100)], 0, 600),
        (Decimal("60.1"), [wind("w", 100), wind("v", 101)], 600, 606),
    ],
)
def test_an_impossible_load_names_the_nearest_possible_ones(
    load: Exact, plants: list[Plant], below: int, above: int | None
) -> None:
    with pytest.raises(InfeasibleLoadError) as caught:
        plan(load, FUELS, plants)
    assert (caught.value.load, caught.value.below, caught.value.above) == (load * 10, below, above)


def test_the_same_plan_under_every_hash_seed() -> None:
    script = (
        f"import sys; sys.path[:0] = {sys.path!r}; from test_dispatch import *\n"
        "print([tuple(plan(*p).outputs) for p in (PAYLOAD_1, PAYLOAD_2, PAYLOAD_3)])"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=Path(__file__).parent,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(texts) == 1


def test_input_is_left_untouched_and_plans_repeat() -> None:
    plants = list(PLANTS)
    assert plan(910, FUELS, plants) == plan(910, FUELS, tuple(plants))
    assert plants == list(PLANTS)
