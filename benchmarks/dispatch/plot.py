"""Part 4: a picture of time against plants, of ours and of both ways of HiGHS.

Equal times give an equal file, byte by byte: it is committed, and should differ only where the
figures do. Colours are Okabe and Ito's, told apart by those who are colour-blind; lines differ in
their markers as well, and carry their names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.dispatch.times import WAYS, time_ordinary
from benchmarks.report import Section, Table, duration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.dispatch.session import Session
    from benchmarks.dispatch.times import Timing
    from benchmarks.pairs import Summary


@dataclass(frozen=True, slots=True)
class _Look:
    color: str
    marker: str


_LOOKS = {
    "ours": _Look("#0072B2", "o"),
    "passed": _Look("#D55E00", "s"),
    "stated": _Look("#009E73", "^"),
}
_STYLE: dict[Any, Any] = {"svg.hashsalt": "windlass", "svg.fonttype": "path", "font.size": 10}
_DPI = 150
_ROOM_FOR_LEGEND = 5.0
_SECONDS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


def measure(session: Session) -> Section:
    """Time ordinary problems of growing size and draw the result."""
    timings = [
        time_ordinary(session, "plot", plants, count)
        for plants, count in session.effort.plotted.items()
    ]
    summaries = {way: [timing.summary(way) for timing in timings] for way in WAYS}
    plants = [timing.plants for timing in timings]
    session.output.mkdir(parents=True, exist_ok=True)
    files = [session.output / f"dispatch.{suffix}" for suffix in ("svg", "png")]
    draw(plants, summaries, files)
    return Section(
        "plot",
        "Time against plants",
        [
            "Ordinary problems, CPU times; drawn in " + " and ".join(map(str, files)) + ".",
            "Of less than a hundred problems, p99 is near the slowest.",
        ],
        [_table(timings)],
        [{"plants": t.plants, "summaries": {w: t.summary(w) for w in WAYS}} for t in timings],
    )


def draw(plants: Sequence[int], summaries: dict[str, list[Summary]], files: Sequence[Path]) -> None:
    """Draw the medians as lines, and bands from them up to the 99th percentiles.

    Args:
        plants: the numbers of plants that were measured, growing.
        summaries: of each way, one for each number of plants.
        files: to write; the suffix of each decides its format.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8, 4.8), layout="constrained", facecolor="white")
        axes = figure.subplots()
        axes.set(xscale="log", yscale="log", xlabel="power plants", ylabel="CPU time for one plan")
        for way, look in _LOOKS.items():
            median = [summary.median_s for summary in summaries[way]]
            p99 = [summary.p99_s for summary in summaries[way]]
            axes.fill_between(plants, median, p99, color=look.color, alpha=0.14, linewidth=0)
            axes.plot(plants, p99, color=look.color, linewidth=0.8, linestyle=":")
            axes.plot(
                plants, median, color=look.color, marker=look.marker, markersize=4.5,
                linewidth=1.8, label=WAYS[way],
            )  # fmt: skip
        axes.xaxis.set_major_locator(FixedLocator(list(plants)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.yaxis.set_major_locator(FixedLocator(list(_SECONDS)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_locator(NullLocator())
        bottom, top = axes.get_ylim()
        axes.set_ylim(bottom, top * _ROOM_FOR_LEGEND)
        axes.grid(which="major", color="#dddddd", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(
            frameon=False, loc="upper left", title="line: median; dotted: 99th percentile",
            alignment="left",
        )  # fmt: skip
        axes.set_title("From plants and load to the cheapest plan", loc="left")
        for file in files:
            figure.savefig(file, dpi=_DPI, metadata=_metadata(file))


def _metadata(file: Path) -> dict[str, str | None]:
    # What names the day or the version would make two equal pictures differ.
    return {"Date": None} if file.suffix == ".svg" else {"Software": None}


def _tick(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1e3:g} ms"


def _table(timings: list[Timing]) -> Table:
    rows = [
        (
            f"{timing.plants:,}",
            f"{timing.summary('ours').count:,}",
            *(duration(timing.summary(way).median_s) for way in WAYS),
            *(duration(timing.summary(way).p99_s) for way in WAYS),
        )
        for timing in timings
    ]
    titles = [f"{name}: {what}" for what in ("median", "p99") for name in WAYS.values()]
    return Table(("plants", "problems", *titles), rows, words=0)
