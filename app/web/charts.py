"""Charts as figures of a page: where each mark of a drawing stands, for a template to draw.

Owns scales, ticks and shapes; colours are the stylesheet's. Pure: numbers in, numbers out. A chart
never says what the table beside it does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from app.planning.answer import DetailedAnswer

WIDTH, HEIGHT = 720, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 34, 52
_THINNEST = 5.0
_CHARACTER = 7.2


@dataclass(frozen=True, slots=True)
class Scale:
    """A line of numbers on a line of the drawing.

    Attributes:
        low: number at `start`.
        high: number at `end`; not equal to `low`.
        start: place in the drawing.
        end: likewise.
    """

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The place of a value, to a tenth of a unit."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, count: int) -> Iterator[Tick]:
        """About `count` round numbers, and their places."""
        step = _round_step((self.high - self.low) / count)
        decimals = max(0, -math.floor(math.log10(step)))
        number = math.ceil(self.low / step)
        while number * step <= self.high:
            yield Tick(self.at(number * step), f"{number * step:,.{decimals}f}")
            number += 1


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis, and what is written there."""

    place: float
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """A plant in the merit order: as wide as it is large, as high as it is dear.

    Attributes:
        width: all that it can deliver.
        used: of that, what it delivers.
        label: its name, empty where there is no room for it.
    """

    kind: str
    x: float
    y: float
    width: float
    used: float
    height: float
    label: str


@dataclass(frozen=True, slots=True)
class MeritChart:
    """The merit order as a drawing of `WIDTH` by `HEIGHT`."""

    blocks: list[Block]
    across: list[Tick]
    up: list[Tick]
    ground: float
    load: float
    load_text: str
    load_anchor: str
    price: float | None
    price_text: str
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    top: float = _TOP
    bottom: float = HEIGHT - _BOTTOM


def merit_chart(answer: DetailedAnswer) -> MeritChart:
    """Draw a plan: each plant's room and output along the load, its marginal cost upwards."""
    costs = [plant.marginal_cost for plant in answer.plants]
    total = sum(plant.pmax for plant in answer.plants)
    across = Scale(0, max(total, answer.load, 0.1) * 1.02, _LEFT, WIDTH - _RIGHT)
    dearest, cheapest = max([0, *costs]), min([0, *costs])
    span = (dearest - cheapest) or 1
    up = Scale(cheapest - (0.08 * span if cheapest < 0 else 0), cheapest + 1.1 * span,
               HEIGHT - _BOTTOM, _TOP)  # fmt: skip
    price = answer.marginal_price
    load = across.at(answer.load)
    return MeritChart(
        blocks=list(_blocks(answer, across, up)),
        across=list(across.ticks(6)),
        up=list(up.ticks(5)),
        ground=up.at(0),
        load=load,
        load_text=f"load {answer.load:,.1f} MW",
        load_anchor="end" if load > WIDTH / 2 else "start",
        price=None if price is None else up.at(price),
        price_text="" if price is None else f"{price:,.2f} €/MWh",
    )


def _blocks(answer: DetailedAnswer, across: Scale, up: Scale) -> Iterator[Block]:
    begin = 0.0
    ground = up.at(0)
    for plant in answer.plants:
        if not plant.pmax:
            continue
        left, right = across.at(begin), across.at(begin + plant.pmax)
        # What costs nothing must still be seen.
        height = max(abs(up.at(plant.marginal_cost) - ground), _THINNEST)
        top = ground - height if plant.marginal_cost >= 0 else ground
        fits = len(plant.name) * _CHARACTER < right - left
        yield Block(
            plant.type, left, round(top, 1), round(right - left, 1),
            round(across.at(begin + plant.p) - left, 1), round(height, 1),
            plant.name if fits else "",
        )  # fmt: skip
        begin += plant.pmax


PLOT_WIDTH, PLOT_HEIGHT = 500, 208
_PLOT_LEFT, _PLOT_BOTTOM = 48, 28
_QUARTER_S = 900
_LONE = 1.5


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened.

    Attributes:
        at: seconds since the epoch.
        tone: ok, warn, bad or empty.
        text: what, for people.
    """

    at: float
    tone: str
    text: str


@dataclass(frozen=True, slots=True)
class DrawnMark:
    """A mark in a drawing, at its place on the axis of time."""

    place: float
    tone: str
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines over time as a drawing of `PLOT_WIDTH` by `PLOT_HEIGHT`."""

    paths: list[str]
    across: list[Tick]
    up: list[Tick]
    marks: list[DrawnMark]
    left: float = _PLOT_LEFT
    right: float = PLOT_WIDTH - 8
    top: float = 8
    bottom: float = PLOT_HEIGHT - _PLOT_BOTTOM


def plot(
    time: Sequence[float],
    columns: Sequence[Sequence[float | None]],
    marks: Sequence[Mark] = (),
) -> Plot | None:
    """Draw columns of figures over time (seconds since the epoch, ascending; UTC on the axis).

    What happened before or after is left out.

    Returns:
        The drawing, with a gap wherever a figure is None; None where there is nothing to draw.
    """
    known = [value for column in columns for value in column if value is not None]
    if len(time) < 2 or not known:
        return None
    across = Scale(time[0], time[-1], _PLOT_LEFT, PLOT_WIDTH - 8)
    up = Scale(0, max(max(known) * 1.08, 0.001), PLOT_HEIGHT - _PLOT_BOTTOM, 8)
    quarter = math.ceil(time[0] / _QUARTER_S) * _QUARTER_S
    return Plot(
        [_path(time, column, across, up) for column in columns],
        [
            Tick(across.at(at), f"{at // 3600 % 24:02}:{at // 60 % 60:02}")
            for at in range(quarter, int(time[-1]) + 1, _QUARTER_S)
        ],
        list(up.ticks(4)),
        [
            DrawnMark(across.at(mark.at), mark.tone, mark.text)
            for mark in marks
            if time[0] <= mark.at <= time[-1]
        ],
    )


def _path(time: Sequence[float], column: Sequence[float | None], across: Scale, up: Scale) -> str:
    pieces = []
    points = zip(time, column, strict=True)
    for is_gap, run in groupby(points, key=lambda point: point[1] is None):
        if not is_gap:
            places = [(across.at(at), up.at(value or 0)) for at, value in run]
            if len(places) == 1:  # a short line, since a point would hardly be seen
                ((x, y),) = places
                places = [(x - _LONE, y), (x + _LONE, y)]
            pieces.append("M" + "L".join(f"{x:g},{y:g}" for x, y in places))
    return "".join(pieces)


def _round_step(rough: float) -> float:
    """The least of 1, 2 and 5 times a power of ten that is not below `rough`."""
    power = float(10 ** math.floor(math.log10(rough)))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
