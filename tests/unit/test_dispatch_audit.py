"""The audit has to catch every kind of corrupted plan."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from app.dispatch import Expense, Fuels, Kind, Output, Plan, Plant, plan, verify

if TYPE_CHECKING:
    from collections.abc import Callable

FUELS = Fuels(gas=Decimal("13.4"), kerosine=Decimal("50.8"), co2=20, wind=60)
PLANTS = [
    Plant("w", Kind.WINDTURBINE, 1, 0, 100),
    Plant("g1", Kind.GASFIRED, Decimal("0.5"), 50, 100),
    Plant("g2", Kind.GASFIRED, Decimal("0.4"), 50, 100),
    Plant("t", Kind.TURBOJET, Decimal("0.3"), 0, 20),
]
SOUND = plan(220, FUELS, PLANTS)


def with_steps(**steps: Any) -> Plan:  # noqa: ANN401 (some are wrong on purpose)
    outputs = (Output(o.name, steps.get(o.name, o.steps)) for o in SOUND.outputs)
    return replace(SOUND, outputs=tuple(outputs))


def test_a_sound_plan_passes() -> None:
    assert [tuple(o) for o in SOUND.outputs] == [("w", 600), ("g1", 1000), ("g2", 600), ("t", 0)]
    assert verify(220, FUELS, PLANTS, SOUND) == []


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        (with_steps(g2=599), "add up"),
        (with_steps(g1=1001, g2=599), "limits"),
        (with_steps(g1=1100, g2=500), "limits"),
        (with_steps(g2=499, t=101), "limits"),
        (with_steps(t=201, g2=399), "limits"),
        (with_steps(t=-1, g2=601), "limits"),
        (with_steps(w=599, g2=601), "wind"),
        (with_steps(w=1000, g2=500), "wind"),
        (with_steps(g1=Decimal("999.5"), g2=Decimal("600.5")), "whole number"),
        (with_steps(g1=990, g2=610), "costs"),
        (replace(SOUND, expenses=SOUND.expenses[:-1]), "costs"),
        (replace(SOUND, expenses=(*SOUND.expenses, Expense(1, 1, 10**18))), "costs"),
        (replace(SOUND, outputs=SOUND.outputs[:-1]), "every plant"),
        (replace(SOUND, outputs=(*SOUND.outputs, SOUND.outputs[0])), "every plant"),
        (replace(SOUND, outputs=(*SOUND.outputs[:-1], Output("x", 0))), "every plant"),
        (replace(SOUND, outputs=SOUND.outputs[::-1]), "merit order"),
    ],
)
def test_a_broken_plan_is_caught(broken: Plan, word: str) -> None:
    assert any(word in sentence for sentence in verify(220, FUELS, PLANTS, broken))


@pytest.mark.parametrize(
    "change",
    [
        lambda: verify(Decimal("220.1"), FUELS, PLANTS, SOUND),
        lambda: verify(220, replace(FUELS, gas=13), PLANTS, SOUND),
        lambda: verify(220, replace(FUELS, wind=61), PLANTS, SOUND),
        lambda: verify(220, FUELS, PLANTS, SOUND, co2=False),
        lambda: verify(220, FUELS, [*PLANTS[:2], replace(PLANTS[2], pmin=61), PLANTS[3]], SOUND),
        lambda: verify(220, FUELS, PLANTS[:3], SOUND),
    ],
)
def test_a_plan_for_another_problem_is_caught(change: Callable[[], list[str]]) -> None:
    assert change()
