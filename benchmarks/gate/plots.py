"""The pictures of a report, as SVG that stands within a page.

Equal figures give equal pictures. Colours are Okabe and Ito's, told apart by those who are
colour-blind; what a colour says is said by a shape as well.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from benchmarks.gate.history import series
from benchmarks.gate.rounds import differences
from benchmarks.gate.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from benchmarks.gate.report import Report
    from benchmarks.gate.verdicts import Finding

COLORS = {
    Verdict.FAIL: "#D55E00",
    Verdict.ACCEPTED: "#CC79A7",
    Verdict.PASS: "#009E73",
    Verdict.INCONCLUSIVE: "#E69F00",
    Verdict.QUARANTINED: "#999999",
    Verdict.SHOWN: "#999999",
    Verdict.NEW: "#56B4E9",
    Verdict.ERROR: "#D55E00",
}
_MARKERS = {
    Verdict.FAIL: "X",
    Verdict.ACCEPTED: "D",
    Verdict.PASS: "o",
    Verdict.INCONCLUSIVE: "s",
    Verdict.QUARANTINED: "v",
}
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "windlass", "svg.fonttype": "path", "font.size": 9.5, "axes.titlesize": 9.5,
}  # fmt: skip
_GRID = "#e5e5e5"
_MOST_SHOWN = 0.35
_LEAST_SHOWN = 0.08
_COLUMNS = 4


def forest(report: Report) -> str:
    """Head by base of every metric that decides or controls, with intervals; empty for none."""
    found = [
        each
        for each in report.judgement.findings
        if each.rounds and (each.metric.primary or each.metric.benchmark.control)
    ]
    if not found:
        return ""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9, 0.9 + 0.24 * len(found)), layout="constrained")
        axes = figure.subplots()
        farthest = _farthest(found)
        for place, each in enumerate(reversed(found)):
            _draw_interval(axes, place, each, farthest)
        axes.axvline(0, color="#333333", linewidth=0.9)
        axes.set_yticks(range(len(found)), [each.metric.name for each in reversed(found)])
        axes.set(xlim=(-farthest, farthest), ylim=(-0.7, len(found) - 0.3))
        axes.xaxis.set_major_locator(FixedLocator(_round_percentages(farthest)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{math.expm1(x):+.0%}"))
        axes.set_xlabel("← faster        head beside base        slower →")
        axes.grid(axis="x", color=_GRID, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
        return _svg(figure)


def _round_percentages(farthest: float) -> list[float]:
    """Where the axis has its ticks, as logarithms of ratios."""
    step = next(step for step in (2, 5, 10) if farthest < 5.5 * step / 100)
    most = int(100 * math.expm1(farthest))
    return [math.log1p(p / 100) for p in range(-(most // step) * step, most + 1, step)]


def _farthest(found: Sequence[Finding]) -> float:
    ends = [abs(x) for each in found for x in (each.low, each.high) if math.isfinite(x)]
    return min(_MOST_SHOWN, max([_LEAST_SHOWN, *(1.08 * x for x in ends)]))


def _draw_interval(axes: Axes, place: int, each: Finding, farthest: float) -> None:
    color = COLORS[each.verdict]
    low, high = max(each.low, -farthest), min(each.high, farthest)
    middle = min(max(each.estimate, -farthest), farthest)
    if each.metric.primary:
        # From here on it counts as slower.
        axes.plot([each.metric.delta] * 2, [place - 0.38, place + 0.38], color="#bbbbbb", lw=1.1)
    axes.plot([low, high], [place, place], color=color, linewidth=2.2, solid_capstyle="butt")
    marker = "|" if each.metric.benchmark.control else _MARKERS.get(each.verdict, "o")
    axes.plot([middle], [place], marker=marker, color=color, markersize=6.5, linestyle="")
    name = "control" if each.metric.benchmark.control else str(each.verdict)
    axes.annotate(
        name.lower(), (1.005, place), xycoords=("axes fraction", "data"), va="center",
        color=color, fontsize=8.5, annotation_clip=False,
    )  # fmt: skip


def by_round(report: Report) -> str:
    """The difference of every round, a small picture for each metric that decides."""
    found = [each for each in report.judgement.findings if each.metric.primary and each.rounds]
    if not found:
        return ""
    rows = math.ceil(len(found) / _COLUMNS)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9, 1.35 * rows), layout="constrained")
        for number, each in enumerate(found, 1):
            _draw_rounds(figure.add_subplot(rows, _COLUMNS, number), report, each)
        return _svg(figure)


def _draw_rounds(axes: Axes, report: Report, each: Finding) -> None:
    metric = each.metric
    of = differences(report.record.rounds, metric.name, more_is_better=metric.more_is_better)
    most = max([_LEAST_SHOWN, *(1.1 * abs(x) for x in of)])
    axes.axhline(0, color="#333333", linewidth=0.7)
    axes.axhline(metric.delta, color="#bbbbbb", linewidth=0.9)
    axes.plot(
        range(1, len(of) + 1), of, linestyle="", marker="o", markersize=3,
        color=COLORS[each.verdict],
    )  # fmt: skip
    axes.set(ylim=(-most, most), xlim=(0.3, len(of) + 0.7))
    axes.set_title(metric.name.partition("/")[2], loc="left", pad=3)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(3, symmetric=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{math.expm1(x):+.0%}"))
    axes.tick_params(labelsize=7.5)
    axes.spines[["top", "right"]].set_visible(False)


def history(report: Report) -> str:
    """Levels over the history, by the control's; empty where there is none to speak of."""
    entries = report.history
    drawn = [
        (metric, series(entries, metric, report.declared))
        for metric in report.declared.metrics()
        if metric.primary and metric.name.endswith(" cpu")
    ]
    drawn = [(metric, of) for metric, of in drawn if sum(level is not None for level in of) > 1]
    if len(entries) < 2 or not drawn:
        return ""
    rows = math.ceil(len(drawn) / _COLUMNS)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9, 1.35 * rows), layout="constrained")
        for number, (metric, levels) in enumerate(drawn, 1):
            places = [
                next(n for n, e in enumerate(entries) if e.commit == change.commit)
                for change in report.changes
                if change.metric == metric.name
            ]
            axes = figure.add_subplot(rows, _COLUMNS, number)
            axes.set_title(metric.name.partition("/")[2], loc="left", pad=3)
            _draw_levels(axes, levels, places)
        return _svg(figure)


def _draw_levels(axes: Axes, levels: Sequence[float | None], changes: Sequence[int]) -> None:
    known = [(n, x) for n, x in enumerate(levels) if x is not None]
    first = known[0][1]
    axes.plot(
        [n for n, _ in known], [x / first for _, x in known], color="#0072B2", linewidth=1.1,
        marker=".", markersize=3,
    )  # fmt: skip
    for place in changes:
        axes.axvline(place, color=COLORS[Verdict.FAIL], linewidth=1, linestyle="--")
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.tick_params(labelsize=7.5)
    axes.spines[["top", "right"]].set_visible(False)


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    # What names the day or the version would make two equal pictures differ.
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
