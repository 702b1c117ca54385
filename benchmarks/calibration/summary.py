"""Rates of right and wrong verdicts, with their intervals by Clopper and Pearson."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import TYPE_CHECKING

from scipy import stats

from benchmarks.calibration.injections import INJECTIONS
from benchmarks.calibration.lines import record_of
from benchmarks.gate import looks
from benchmarks.gate.accepted import Accepted
from benchmarks.gate.declaration import ours
from benchmarks.gate.judging import judge
from benchmarks.gate.verdicts import Verdict
from benchmarks.report import Section, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.calibration.lines import Line
    from benchmarks.gate.verdicts import Judgement

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


def again(line: Line) -> Judgement:
    """What the gate's rules say of the rounds that a line has."""
    names = {metric.partition(" ")[0] for metric in line.figures}
    return judge(record_of(line), ours().only(names), Accepted(), looks.FULL)


def is_the_same_again(line: Line, found: Judgement) -> bool:
    """Whether that calls slower what the line calls slower, and ends as the line does.

    What failed is not among the rounds, so how such a gate ended cannot be judged again.
    """
    red = [each.metric.name for each in found.of(Verdict.FAIL)]
    return red == line.red and (line.outcome == found.outcome or bool(line.failures))


def _quiet(lines: Iterable[Line], part: str, title: str) -> Section:
    found = [line for line in lines if line.case.part == part]
    rows = [("this gate", rate(sum(bool(line.red) for line in found), len(found)))]
    rows += [
        (rule, rate(sum(bool(line.others[rule]) for line in found), len(found)))
        for rule in sorted({rule for line in found for rule in line.others})
    ]
    tests = sum(line.self_tests for line in found)
    notes = [
        *_about(found),
        f"A revision beside itself: {rate(sum(line.moved for line in found), tests)}.",
        f"Invalid by controls: {rate(sum(bool(line.controls) for line in found), len(found))}.",
    ]
    false = [f"{line.case.number}: {', '.join(line.red)}" for line in found if line.red]
    notes += [f"False alarms: {'; '.join(false)}."] if false else []
    tables = [Table(("rule", "gates called slower"), rows), _resolutions(found)]
    return Section(part, title, notes, tables, _data(found))


def _about(lines: Sequence[Line]) -> list[str]:
    """How many gates there are, how they ended, and whether their verdicts can be given again."""
    if not lines:
        return ["No gates."]
    outcomes = Counter(line.outcome for line in lines)
    judged = [again(line) for line in lines]
    same = sum(is_the_same_again(line, found) for line, found in zip(lines, judged, strict=True))
    verdicts = Counter(str(f.verdict) for of in judged for f in of.findings if f.metric.primary)
    return [
        (
            f"{len(lines)} gates with shortened arms, {median(line.seconds for line in lines):.0f} "
            f"s each (median); load of the machine {median(line.load for line in lines):.1f}."
        ),
        f"Gates: {_counted(outcomes)}. Metrics in them: {_counted(verdicts)}.",
        f"Judged again from the rounds that are kept: {same} of {len(lines)} the same.",
    ]


def _counted(of: Counter[str]) -> str:
    return ", ".join(f"{n} {what}" for what, n in of.most_common())


def _resolutions(lines: Sequence[Line]) -> Table:
    """The smallest slowdown that could have been seen, by metric."""
    names = sorted({name for line in lines for name in line.resolutions})
    rows = []
    for name in names:
        ratios = [line.resolutions[name] for line in lines if name in line.resolutions]
        rows.append((name, str(len(ratios)), f"{median(ratios) - 1:.1%}", f"{max(ratios) - 1:.1%}"))
    return Table(("metric", "gates", "smallest seen, median", "worst"), rows)


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
    notes = [
        *_about(lines),
        "The size that was found is that of the metric which the injection is a share of.",
    ]
    title = "Injected slowdowns"
    return Section("injected", title, notes, [Table(columns, rows)], _data(lines))


def _benchmark(metric: str) -> str:
    return metric.partition(" ")[0]


def _data(lines: Iterable[Line]) -> list[dict[str, object]]:
    return [
        {"case": line.case, "outcome": line.outcome, "red": line.red, "others": line.others}
        for line in lines
    ]
