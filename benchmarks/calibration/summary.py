"""Rates of right and wrong verdicts, with their intervals by Clopper and Pearson."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from scipy import stats

from benchmarks.calibration.injections import INJECTIONS
from benchmarks.report import Section, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.calibration.lines import Line

_CONFIDENCE = 0.95


def rate(hits: int, of: int) -> str:
    """A rate with its exact 95 % interval."""
    if not of:
        return "no runs"
    found = stats.binomtest(hits, of).proportion_ci(_CONFIDENCE, method="exact")
    return f"{hits} of {of} ({found.low:.1%} to {found.high:.1%})"


def sections(lines: Sequence[Line]) -> list[Section]:
    """What the lines show, part by part."""
    return [
        _quiet(lines, "aa", "A commit beside itself"),
        _quiet(lines, "busy", "The same with one CPU kept busy by another load"),
        _injected([line for line in lines if line.case.part == "injected"]),
    ]


def _quiet(lines: Iterable[Line], part: str, title: str) -> Section:
    found = [line for line in lines if line.case.part == part]
    rows = [("this gate", rate(sum(bool(line.red) for line in found), len(found)))]
    rows += [
        (rule, rate(sum(bool(line.others[rule]) for line in found), len(found)))
        for rule in sorted({rule for line in found for rule in line.others})
    ]
    tests = sum(line.self_tests for line in found)
    notes = [
        f"{len(found)} whole gates with shortened arms.",
        f"A revision beside itself: {rate(sum(line.moved for line in found), tests)}.",
        f"Invalid by controls: {rate(sum(bool(line.controls) for line in found), len(found))}.",
        f"Smallest slowdown that could have been seen, the median: {_resolution(found)}.",
    ]
    false = [f"{line.case.number}: {', '.join(line.red)}" for line in found if line.red]
    notes += [f"False alarms: {'; '.join(false)}."] if false else []
    return Section(part, title, notes, [Table(("rule", "gates called slower"), rows)], _data(found))


def _resolution(lines: Sequence[Line]) -> str:
    ratios = [ratio for line in lines for ratio in line.resolutions.values()]
    return f"{median(ratios) - 1:.1%}" if ratios else "none"


def _injected(lines: Sequence[Line]) -> Section:
    rows = []
    for name, injection in INJECTIONS.items():
        of = [line for line in lines if line.case.injection == name]
        if not of:
            continue
        found = [any(_benchmark(m) in injection.concerned for m in line.red) for line in of]
        wrong = [any(_benchmark(m) not in injection.concerned for m in line.red) for line in of]
        sizes = [line.estimates[injection.of] for line in of if injection.of in line.estimates]
        rows.append((
            name,
            f"{median(sizes) - 1:.1%}" if sizes else "",
            rate(sum(found), len(of)),
            rate(sum(wrong), len(of)),
        ))  # fmt: skip
    columns = ("injected", "found, median", "detected", "others named")
    notes = ["The size that was found is that of the metric which the injection is a share of."]
    title = "Injected slowdowns"
    return Section("injected", title, notes, [Table(columns, rows)], _data(lines))


def _benchmark(metric: str) -> str:
    return metric.partition(" ")[0]


def _data(lines: Iterable[Line]) -> list[dict[str, object]]:
    return [
        {"case": line.case, "outcome": line.outcome, "red": line.red, "others": line.others}
        for line in lines
    ]
