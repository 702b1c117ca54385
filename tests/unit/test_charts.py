"""Charts: scales, ticks and shapes stand where the numbers are."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.planning import DetailedAnswer, PlanningDesk
from app.web.charts import HEIGHT, WIDTH, MeritChart, Scale, merit_chart, plot

if TYPE_CHECKING:
    from pathlib import Path


def answer_to(body: bytes) -> DetailedAnswer:
    desk = PlanningDesk(co2=True, processes=1, queue=1, deadline_s=10)
    answer = desk.answer_at_once(body, details=True)
    assert answer is not None
    return msgspec.json.decode(answer, type=DetailedAnswer)


@pytest.fixture
def chart(powerplant: Path) -> MeritChart:
    return merit_chart(answer_to((powerplant / "payload3.json").read_bytes()))


def test_blocks_stand_side_by_side_in_merit_order(chart: MeritChart) -> None:
    assert [block.kind for block in chart.blocks] == [
        "windturbine", "windturbine", "gasfired", "gasfired", "gasfired", "turbojet",
    ]  # fmt: skip
    for left, right in zip(chart.blocks, chart.blocks[1:], strict=False):
        assert left.x + left.width == pytest.approx(right.x, abs=0.2)


def test_what_is_delivered_ends_at_the_load(chart: MeritChart) -> None:
    last = [block for block in chart.blocks if block.used][-1]
    assert last.x + last.used == pytest.approx(chart.load, abs=0.3)
    assert chart.load_text == "load 910.0 MW"


def test_dearer_plants_are_higher_and_the_price_is_that_of_the_marginal_one(
    chart: MeritChart,
) -> None:
    heights = [block.height for block in chart.blocks]
    assert heights == sorted(heights)
    marginal = [block for block in chart.blocks if block.used][-1]
    assert chart.price == pytest.approx(marginal.y, abs=0.2)


def test_all_is_within_the_drawing(chart: MeritChart) -> None:
    for block in chart.blocks:
        assert chart.left <= block.x
        assert block.x + block.width <= chart.right <= WIDTH
        assert chart.top <= block.y <= block.y + block.height <= chart.bottom <= HEIGHT


def test_negative_costs_hang_below_the_ground() -> None:
    body = b"""{"load": 10, "fuels": {"gas(euro/MWh)": -40, "kerosine(euro/MWh)": 9,
      "co2(euro/ton)": 0, "wind(%)": 0}, "powerplants": [
      {"name": "g", "type": "gasfired", "efficiency": 1, "pmin": 0, "pmax": 8},
      {"name": "t", "type": "turbojet", "efficiency": 0.5, "pmin": 0, "pmax": 8}]}"""
    chart = merit_chart(answer_to(body))
    gas, jet = chart.blocks
    assert gas.y == pytest.approx(chart.ground)
    assert jet.y + jet.height == pytest.approx(chart.ground)
    assert gas.y + gas.height <= chart.bottom


def test_nothing_that_can_run_is_drawn_too() -> None:
    body = b"""{"load": 0, "fuels": {"gas(euro/MWh)": 1, "kerosine(euro/MWh)": 9,
      "co2(euro/ton)": 0, "wind(%)": 0}, "powerplants": [
      {"name": "w", "type": "windturbine", "efficiency": 1, "pmin": 0, "pmax": 8}]}"""
    chart = merit_chart(answer_to(body))
    assert chart.blocks == []
    assert chart.price is None


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 8))
def test_ticks_are_few_round_and_within(low: float, span: float, count: int) -> None:
    scale = Scale(low, low + span, 0, 100)
    ticks = list(scale.ticks(count))
    assert len(ticks) <= count + 1
    assert all(-0.1 <= tick.place <= 100.1 for tick in ticks)
    places = [tick.place for tick in ticks]
    assert places == sorted(places)


def test_plot_leaves_a_gap_where_nothing_was_measured() -> None:
    drawn = plot([0.0, 30.0, 60.0, 90.0], [[1.0, None, 2.0, 4.0]])
    assert drawn is not None
    (path,) = drawn.paths
    assert path.count("M") == 2
    assert drawn.right == pytest.approx(float(re.findall(r"([\d.]+),", path)[-1]))
    assert [tick.text for tick in drawn.across] == ["00:00"]


def test_plot_of_nothing_is_none() -> None:
    assert plot([], [[]]) is None
    assert plot([1.0, 2.0], [[None, None]]) is None


def test_plot_of_zeros_lies_on_the_ground() -> None:
    drawn = plot([0.0, 900.0], [[0.0, 0.0]])
    assert drawn is not None
    heights = {float(y) for y in re.findall(r",([\d.]+)", drawn.paths[0])}
    assert heights == {drawn.bottom}
    assert not any(math.isnan(tick.place) for tick in drawn.up)
