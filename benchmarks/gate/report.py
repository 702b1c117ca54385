"""What a gate reports, in whatever form: the data, and the sentences that all forms share."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from benchmarks.gate import looks
from benchmarks.gate.accepted import Accepted
from benchmarks.gate.declaration import Declaration  # noqa: TC001 - msgspec reads it
from benchmarks.gate.instructions import Counts
from benchmarks.gate.rounds import Record  # noqa: TC001 - msgspec reads it
from benchmarks.gate.verdicts import Finding, Outcome, Verdict
from benchmarks.machine import Machine  # noqa: TC001 - msgspec reads it

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.gate.health import Movement
    from benchmarks.gate.history import Change, Entry
    from benchmarks.gate.verdicts import Judgement

SLOWER = (Verdict.FAIL, Verdict.ACCEPTED)
_SHORT_COMMIT = 10
_MOST_FILES = 12
_WORDS = {
    Outcome.PASS: "Nothing got slower",
    Outcome.FAIL: "Slower",
    Outcome.ERROR: "Not everything could be measured",
    Outcome.INCONCLUSIVE: "Nothing is shown to be slower, and not everything to be as fast",
    Outcome.INVALID: "A control moved, so nothing is said",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One gate, told.

    Attributes:
        suspects: commits, by benchmark that got slower.
        counts: of instructions.
        history: comparable entries, the last of which is this gate's; empty without a history.
        changes: levels that changed in the history.
        entries: all gates of the history, for the rate of false alarms in self tests.
        minutes: that the measurement took.
        accepted: slowdowns that were meant.
    """

    record: Record
    judgement: Judgement
    declared: Declaration
    machine: Machine
    minutes: float
    accepted: Accepted = field(default_factory=Accepted)
    suspects: Mapping[str, list[str]] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    history: Sequence[Entry] = ()
    changes: Sequence[Change] = ()
    entries: Sequence[Entry] = ()

    @property
    def title(self) -> str:
        """The outcome."""
        return f"Benchmarks: {self.judgement.outcome}"

    def json(self) -> bytes:
        """Everything, with all digits."""
        found = {
            "outcome": self.judgement.outcome,
            "exit_code": self.judgement.outcome.exit_code,
            "summary": summary(self),
            "errors": self.judgement.errors,
            "findings": [_as_data(each) for each in self.judgement.findings],
            "controls_moved": [_movement(each) for each in self.judgement.controls],
            "self_tests": self.judgement.self_tests,
            "self_tests_moved": [_movement(each) for each in self.judgement.moved],
            "suspects": dict(self.suspects),
            "instructions": self.counts,
            "changes": list(self.changes),
            "machine": self.machine,
            "minutes": self.minutes,
            "declared": self.declared,
            "accepted": self.accepted,
            "record": self.record,
        }
        return as_json(found)


class Kept(msgspec.Struct):
    """What of a report's JSON is enough to judge its rounds again."""

    record: Record
    declared: Declaration
    accepted: Accepted
    machine: Machine
    minutes: float
    suspects: dict[str, list[str]]
    instructions: Counts


def as_json(found: object) -> bytes:
    """JSON for people as well."""
    return msgspec.json.format(msgspec.json.encode(found)) + b"\n"


# ---- sentences


def summary(report: Report) -> str:
    """The outcome, and what must not be overlooked beside it."""
    return " ".join([_about_outcome(report), *_beside(report)])


def _beside(report: Report) -> list[str]:
    record, moved = report.record, report.judgement.controls
    found = []
    if record.environments_differ and moved:
        names = ", ".join(f"{m.metric.name} by {percent(m.estimate)}" for m in moved)
        found.append(f"The environments differ as well: {names}, which is in every figure.")
    if record.altered:
        files = _number(len(record.altered), "file")
        found.append(f"The change alters {files} of what measures and judges it, named below.")
    return found


def _about_outcome(report: Report) -> str:
    judgement = report.judgement
    slower = judgement.of(Verdict.FAIL)
    text = _WORDS[judgement.outcome]
    if judgement.outcome is Outcome.FAIL:
        names = ", ".join(f"{each.metric.name} by {percent(each.estimate)}" for each in slower)
        return f"{text}: {names}."
    if judgement.outcome is Outcome.ERROR:
        return f"{text}: {_number(len(judgement.errors), 'fault')}, named below."
    if judgement.outcome is Outcome.INVALID:
        return (
            f"{text}: {', '.join(each.metric.name for each in judgement.controls)}. Run it again."
        )
    return f"{text}: {_counted(judgement)}."


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _counted(judgement: Judgement) -> str:
    """How many metrics pass, how many do not, and which are excused."""
    passed = len(judgement.of(Verdict.PASS, Verdict.ACCEPTED))
    left = len(judgement.of(Verdict.INCONCLUSIVE))
    excused = [each.metric.name for each in judgement.of(Verdict.QUARANTINED)]
    words = [f"{passed} of {sum(f.metric.primary for f in judgement.findings)} metrics pass"]
    words += [f"{left} not decided"] if left else []
    words += [f"{len(excused)} in quarantine ({', '.join(excused)})"] if excused else []
    return ", ".join(words)


def about_open(report: Report) -> list[str]:
    """What is not shown of each open metric, with the smallest slowdown that would have been."""
    found = []
    for each in report.judgement.of(Verdict.INCONCLUSIVE):
        seen = f"a slowdown of {percent(each.resolution)} would have been seen"
        if math.isinf(each.resolution):
            seen = "no slowdown would have been seen"
        why = f" ({each.reason})" if each.reason else ""
        found.append(f"{each.metric.name}: {interval(each)}; {seen}{why}.")
    return found


def about_quarantine(report: Report) -> list[str]:
    """Each metric in quarantine, and why."""
    return [
        f"{each.metric.name}: {each.reason}; {interval(each)}."
        for each in report.judgement.of(Verdict.QUARANTINED)
    ]


def about_altered(report: Report) -> list[str]:
    """Files of the gate itself that the change has, both of whose revisions the head's measured."""
    altered = report.record.altered
    more = [f"and {len(altered) - _MOST_FILES} more"] if len(altered) > _MOST_FILES else []
    return altered[:_MOST_FILES] + more


def about_experiment(report: Report) -> list[str]:
    """How it was measured, and what it found where there is nothing to be found."""
    record, judgement = report.record, report.judgement
    counted = len(record.rounds)
    orders = sum(each.order == "ABBA" for each in record.rounds)
    look = judgement.look
    taken = f"judged after {look.rounds}" if look else "too few to be judged"
    found = [
        (
            f"{counted} rounds of four fresh sets of processes ({orders} ABBA, "
            f"{counted - orders} BAAB), {taken}, in {report.minutes:.1f} minutes."
        ),
        (
            "Any false FAIL in the whole gate has a probability of at most "
            f"{looks.FALSE_ALARM:.0%}, a control that moves by chance as well; an interval holds "
            f"the true ratio with at least {1 - looks.MISS:.0%}."
        ),
        (
            f"A revision beside itself: {len(judgement.moved)} of {judgement.self_tests} "
            f"comparisons found a difference{_named(judgement.moved)}."
        ),
        f"Controls, which no change can make slower: {_about_controls(report)}.",
    ]
    tests = sum(each.self_tests for each in report.entries)
    if tests:
        moved = sum(each.moved for each in report.entries)
        found.append(
            f"Over the {len(report.entries)} gates of the history {moved} of {tests:,} comparisons "
            "of a revision with itself found a difference."
        )
    if record.environments_differ:
        found.append("Base and head ran in environments of their own; the figures have both.")
    return found + [f"{note[0].upper()}{note[1:]}." for note in record.notes]


def _about_controls(report: Report) -> str:
    moved = {each.metric.name for each in report.judgement.controls}
    return ", ".join(
        f"{each.metric.name} {interval(each)}{' MOVED' if each.metric.name in moved else ''}"
        for each in report.judgement.findings
        if each.metric.benchmark.control and each.rounds
    )


def _named(movements: Sequence[Movement]) -> str:
    if not movements:
        return ""
    names = (f"{each.metric.name} of {each.compared}" for each in movements)
    return f" ({', '.join(names)})"


# ---- figures


def interval(finding: Finding) -> str:
    """The ratio of head to base with its interval."""
    if not finding.rounds:
        return "no rounds"
    return f"{ratio(finding.estimate)} ({ratio(finding.low)} to {ratio(finding.high)})"


def ratio(difference: float) -> str:
    """A difference of logarithms as a ratio."""
    if math.isinf(difference):
        return "0" if difference < 0 else "∞"
    return f"{math.exp(difference):.3f}"


def percent(difference: float) -> str:
    """A difference of logarithms as a percentage."""
    if math.isinf(difference) or math.isnan(difference):
        return "any size" if difference < 0 else "no size"
    return f"{math.expm1(difference):.1%}"


def figure(value: float, unit: str) -> str:
    """A figure in the unit in which it is read best."""
    if unit == "1/s":
        return f"{value:,.0f}/s"
    for limit, factor, name in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if value < limit:
            return f"{value * factor:.3g} {name}"
    return f"{value:.3g} s"


def levels(report: Report, finding: Finding) -> tuple[str, str]:
    """The middle figures of base and head."""
    name, unit = finding.metric.name, finding.metric.unit
    figures = [r.figures[name] for r in report.record.rounds if name in r.figures]
    if not figures:
        return "", ""
    base = _middle([x for f in figures for x in (f.A1, f.A2)])
    head = _middle([x for f in figures for x in (f.B1, f.B2)])
    return figure(base, unit), figure(head, unit)


def counted(report: Report, finding: Finding) -> str:
    """What the second witness says of a metric."""
    found = report.counts.ratio(finding.metric.benchmark.name)
    return "" if found is None else f"{found:.3f}"


def revisions(report: Report) -> tuple[str, str]:
    """Base and head, abbreviated."""
    return report.record.base[:_SHORT_COMMIT], report.record.head[:_SHORT_COMMIT]


def _middle(values: list[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _movement(movement: Movement) -> dict[str, object]:
    return {
        "metric": movement.metric.name,
        "compared": movement.compared,
        "ratio": math.exp(movement.estimate),
    }


def _as_data(finding: Finding) -> dict[str, object]:
    finite = {
        "ratio": finding.estimate, "low": finding.low, "high": finding.high,
        "smallest_seen": finding.resolution, "has_to_exceed": finding.delta,
    }  # fmt: skip
    return {
        "metric": finding.metric.name,
        "verdict": finding.verdict,
        "primary": finding.metric.primary,
        "rounds": finding.rounds,
        **{n: math.exp(x) if math.isfinite(x) else None for n, x in finite.items()},
        "p": finding.p,
        "reason": finding.reason,
    }
