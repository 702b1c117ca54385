"""The report as one HTML page that needs nothing else: styles and pictures stand within it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tornado.template import Template

from benchmarks.gate import plots
from benchmarks.gate import report as words
from benchmarks.gate.verdicts import Outcome, Verdict

if TYPE_CHECKING:
    from benchmarks.gate.report import Report

_TEMPLATE = Path(__file__).with_name("page.html")
_BANNERS = {
    Outcome.PASS: "#00694d",
    Outcome.FAIL: "#a33f00",
    Outcome.ERROR: "#8a1c1c",
    Outcome.INCONCLUSIVE: "#7a5b00",
    Outcome.INVALID: "#5a4a78",
}


_MOST_UNFOLDED = 3
"""Lists that are longer than this, and name nothing that is slower or failed, are folded: the
picture that shows all of it should stand on the first screen."""


@dataclass(frozen=True, slots=True)
class Section:
    """Sentences under a heading."""

    heading: str
    lines: list[str]
    is_urgent: bool = False

    @property
    def is_folded(self) -> bool:
        """Whether the reader has to open it."""
        return not self.is_urgent and len(self.lines) > _MOST_UNFOLDED


def page(report: Report) -> bytes:
    """The whole page."""
    base, head = words.revisions(report)
    template = Template(_TEMPLATE.read_text(encoding="utf-8"))
    return template.generate(
        title=report.title,
        color=_BANNERS[report.judgement.outcome],
        summary=words.summary(report),
        base=base,
        head=head,
        machine=report.machine,
        sections=_sections(report),
        forest=plots.forest(report),
        rounds=plots.by_round(report),
        history=plots.history(report),
        rows=_rows(report),
        instructions=_about_instructions(report),
        experiment=words.about_experiment(report),
    )


def _sections(report: Report) -> list[Section]:
    excused = words.about_quarantine(report)
    return [
        Section("Faults", report.judgement.errors, is_urgent=True),
        Section("Slower", _slower(report), is_urgent=True),
        Section("Not decided", words.about_open(report)),
        Section("In quarantine, too noisy here to claim much", excused),
        Section(
            "Levels that changed in the history",
            [
                f"{each.metric}: {each.ratio:.3f} of what it was, since {each.commit[:10]}"
                for each in report.changes
            ],
        ),
        Section(
            "The gate itself is changed: both revisions were measured by the head's",
            words.about_altered(report),
        ),
    ]


def _slower(report: Report) -> list[str]:
    lines = []
    for each in report.judgement.of(*words.SLOWER):
        suspects = report.suspects.get(each.metric.benchmark.name, [])
        named = f" Suspects: {'; '.join(suspects)}." if suspects else ""
        accepted = f", {each.reason}" if each.verdict is Verdict.ACCEPTED else ""
        lines.append(
            f"{each.metric.name} by {words.percent(each.estimate)}, between "
            f"{words.percent(each.low)} and {words.percent(each.high)}{accepted}.{named}"
        )
    return lines


def _rows(report: Report) -> list[tuple[tuple[str, ...], str]]:
    return [
        (
            (
                each.metric.name,
                str(each.verdict),
                *words.levels(report, each),
                words.interval(each),
                words.percent(each.resolution) if each.metric.primary else "",
                words.counted(report, each),
            ),
            plots.COLORS[each.verdict],
        )
        for each in report.judgement.findings
    ]


def _about_instructions(report: Report) -> str:
    if report.counts.by:
        return f"Instructions: head by base, counted by {report.counts.by}."
    return f"Instructions: {report.counts.why_not}." if report.counts.why_not else ""
