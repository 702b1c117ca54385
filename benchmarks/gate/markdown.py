"""The report as Markdown, for a pull request: what got slower comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.gate import report as words
from benchmarks.gate.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.gate.report import Report
    from benchmarks.gate.verdicts import Finding

_COLUMNS = ("metric", "verdict", "base", "head", "head / base", "instructions")
_HOW_TO_READ = (
    "A ratio above 1 is slower, of throughput as well; in brackets its interval. FAIL: slower by "
    "more than 3 % (CPU) or 5 % (throughput, median latency). The 99th percentile is shown and "
    "decides nothing."
)


def markdown(report: Report) -> str:
    """The whole report."""
    base, head = words.revisions(report)
    blocks = [f"# {report.title}", f"{words.summary(report)} Base `{base}`, head `{head}`."]
    blocks += _list("Faults", report.judgement.errors)
    blocks += _slower(report)
    blocks += _list("Not decided", words.about_open(report))
    excused = words.about_quarantine(report)
    blocks += _list(f"In quarantine: {len(excused)}, too noisy here to claim much", excused)
    blocks += _changed(report)
    blocks += _list(
        "The gate itself is changed: both revisions were measured by the head's",
        [f"`{file}`" for file in words.about_altered(report)],
    )
    blocks += ["<details><summary>Every metric</summary>", _HOW_TO_READ]
    blocks += [_table(report, report.judgement.findings), "</details>"]
    blocks += _list("The experiment", words.about_experiment(report))
    if report.counts.by:
        blocks.append(f"Instructions: head by base, counted by `{report.counts.by}`.")
    elif report.counts.why_not:
        blocks.append(f"Instructions: {report.counts.why_not}.")
    about = [f"- {name}: {text}" for name, text in report.machine.rows()]
    blocks += ["<details><summary>Measured on</summary>", "\n".join(about), "</details>"]
    return "\n\n".join(blocks) + "\n"


def _slower(report: Report) -> list[str]:
    found = report.judgement.of(*words.SLOWER)
    if not found:
        return []
    lines = []
    for each in found:
        accepted = f" — {each.reason}" if each.verdict is Verdict.ACCEPTED else ""
        lines.append(
            f"- **{each.metric.name}**: {words.percent(each.estimate)} slower, between "
            f"{words.percent(each.low)} and {words.percent(each.high)}{accepted}"
        )
        lines += [f"  - suspect: {c}" for c in report.suspects.get(each.metric.benchmark.name, [])]
    return ["## Slower", "\n".join(lines)]


def _changed(report: Report) -> list[str]:
    return _list(
        "Levels that changed in the history",
        [
            f"{each.metric}: {each.ratio:.3f} of what it was, since `{each.commit[:10]}` "
            f"({each.at})"
            for each in report.changes
        ],
    )


def _table(report: Report, findings: Sequence[Finding]) -> str:
    rows = [
        (
            each.metric.name,
            str(each.verdict),
            *words.levels(report, each),
            words.interval(each),
            words.counted(report, each),
        )
        for each in findings
    ]
    rule = ("---", "---", "---:", "---:", "---:", "---:")
    lines = [_COLUMNS, rule, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _list(title: str, lines: Sequence[str]) -> list[str]:
    return [f"## {title}", "\n".join(f"- {line}" for line in lines)] if lines else []
