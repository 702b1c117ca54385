"""A picture of the outcomes of requests over time, with what was done to the server meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.chaos.record import Record

_GOOD, _FAILED, _DONE = "#0072B2", "#D55E00", "#DDDDDD"
_STYLE: dict[Any, Any] = {"svg.hashsalt": "windlass", "svg.fonttype": "path", "font.size": 10}
_MOST_POINTS = 20_000
_BIN_S = 0.25
_DPI = 110


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that was done from one time to another, in seconds of the monotonic clock."""

    name: str
    begin: float
    end: float


def draw(title: str, record: Record, marks: Sequence[Mark], folder: Path, name: str) -> str:
    """Draw a record: each request's latency at the time at which it was meant to be sent.

    Args:
        title: of the picture.
        record: with at least one request.
        marks: what was done meanwhile; drawn as grey bands.
        folder: made where it is missing.
        name: of the file, NAME.svg.

    Returns:
        A sentence that names the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.svg"
    zero = min(request.intended for request in record.requests)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9, 5), layout="constrained", facecolor="white")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        _draw_latencies(above, record, zero)
        _draw_rates(below, record, zero)
        for axes in (above, below):
            for mark in marks:
                axes.axvspan(mark.begin - zero, mark.end - zero, color=_DONE, zorder=0)
            axes.spines[["top", "right"]].set_visible(False)
        if len(marks) <= 12:
            for mark in marks:
                above.text(mark.begin - zero, 1.0, mark.name, transform=above.get_xaxis_transform(),
                           rotation=30, fontsize=7, va="bottom")  # fmt: skip
        figure.suptitle(title, x=0.02, ha="left")
        figure.savefig(file, dpi=_DPI, metadata={"Date": None})
    return f"Drawn in {file}."


def _draw_latencies(axes: Any, record: Record, zero: float) -> None:  # noqa: ANN401 - matplotlib's own
    good = [request for request in record.requests if not request.failed]
    good = good[:: max(1, len(good) // _MOST_POINTS)]
    for requests, color, size, what in (
        (good, _GOOD, 2, "answered"), (record.failed, _FAILED, 14, "failed"),
    ):  # fmt: skip
        axes.scatter(
            [request.intended - zero for request in requests],
            [1000 * max(request.ended - request.intended, 1e-4) for request in requests],
            s=size, color=color, label=f"{what}", linewidths=0, rasterized=True,
        )  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylabel("latency, ms")
    axes.legend(loc="upper right", fontsize=8, markerscale=3)


def _draw_rates(axes: Any, record: Record, zero: float) -> None:  # noqa: ANN401
    last = max(request.intended for request in record.requests) - zero
    bins = [_BIN_S * number for number in range(int(last / _BIN_S) + 2)]
    times = [[request.intended - zero for request in record.requests if request.failed is failed]
             for failed in (False, True)]  # fmt: skip
    # One outline each: a bar for each bin makes a large file of a long run.
    axes.hist(times, bins=bins, stacked=True, histtype="stepfilled", color=[_GOOD, _FAILED])
    axes.set_ylabel(f"requests\nper {_BIN_S:g} s")
    axes.set_xlabel("seconds")
