"""Why each plant is on or off."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from app.dispatch import Fuels, Kind, Plant, Reason, explain, plan

FUELS = Fuels(gas=Decimal(10), kerosine=Decimal(50), co2=Decimal(0), wind=Decimal(50))


def gas(name: str, efficiency: str, pmin: int, pmax: int) -> Plant:
    return Plant(name, Kind.GASFIRED, Decimal(efficiency), Decimal(pmin), Decimal(pmax))


def wind(name: str, pmax: int) -> Plant:
    return Plant(name, Kind.WINDTURBINE, Decimal(1), Decimal(0), Decimal(pmax))


@pytest.mark.parametrize(
    ("load", "plants", "reasons", "price"),
    [
        (
            "130",
            [wind("w", 100), gas("cheap", "0.5", 10, 60), gas("dear", "0.4", 10, 90),
             gas("dearest", "0.25", 0, 10)],
            {"w": Reason.IN_FULL, "cheap": Reason.IN_FULL, "dear": Reason.MARGINAL,
             "dearest": Reason.NOT_NEEDED},
            25,
        ),
        (  # the cheap plant gives way to the Pmin of the dear one
            "70",
            [gas("cheap", "0.5", 10, 60), gas("dear", "0.4", 20, 90)],
            {"cheap": Reason.MARGINAL, "dear": Reason.AT_PMIN},
            20,
        ),
        (  # two cheap ones would be too much, one too little
            "30",
            [gas("a", "0.5", 20, 20), gas("b", "0.5", 20, 20), gas("dear", "0.4", 30, 30)],
            {"a": Reason.SQUEEZED_OUT, "b": Reason.SQUEEZED_OUT, "dear": Reason.IN_FULL},
            25,
        ),
        (
            "0",
            [wind("calm", 0), gas("c", "0.5", 0, 5)],
            {"calm": Reason.NO_WIND, "c": Reason.NOT_NEEDED},
            None,
        ),
    ],
)  # fmt: skip
def test_each_plant_has_its_reason(
    load: str, plants: list[Plant], reasons: dict[str, Reason], price: int | None
) -> None:
    found = plan(Decimal(load), FUELS, plants)
    explanation = explain(Decimal(load), FUELS, plants, found)
    assert {entry.plant.name: entry.reason for entry in explanation.plants} == reasons
    assert explanation.marginal_price == price
    assert [e.plant.name for e in explanation.plants] == [o.name for o in found.outputs]
    assert [e.steps for e in explanation.plants] == [o.steps for o in found.outputs]


def test_plant_without_a_step_between_its_limits_cannot_run() -> None:
    narrow = Plant("narrow", Kind.GASFIRED, Decimal("0.5"), Decimal("1.01"), Decimal("1.09"))
    plants = [narrow, gas("other", "0.4", 0, 10)]
    explanation = explain(Decimal(1), FUELS, plants, plan(Decimal(1), FUELS, plants))
    assert explanation.plants[0].reason is Reason.CANNOT_RUN


def test_only_gas_fired_plants_emit() -> None:
    jet = Plant("jet", Kind.TURBOJET, Decimal("0.5"), Decimal(0), Decimal(10))
    plants = [wind("w", 20), gas("g", "0.9", 0, 10), jet]
    explanation = explain(Decimal(30), FUELS, plants, plan(Decimal(30), FUELS, plants))
    assert explanation.co2_tons == Fraction(3)


def test_every_reason_has_a_sentence() -> None:
    assert all(reason.sentence for reason in Reason)
