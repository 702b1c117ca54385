"""What a gate says: of each metric, and of the whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.gate.declaration import Metric
    from benchmarks.gate.health import Movement
    from benchmarks.gate.looks import Look


class Verdict(StrEnum):
    """What is said of one metric.

    FAIL: slower by more than delta; wrong for any metric of the gate with at most `FALSE_ALARM`.
    ACCEPTED: not shown to be within delta, and a reviewed line accepts as much.
    PASS: not slower by more than delta; wrong with at most half of `MISS`.
    INCONCLUSIVE: neither is shown.
    QUARANTINED: too noisy to claim anything but a slowdown by more than a quarter, with an interval
        that delta lies in; one that lies above it is INCONCLUSIVE, however noisy.
    SHOWN: not a primary metric; its figures are for the reader.
    NEW: the base has no such benchmark, so there is nothing to compare with.
    ERROR: not measured.
    """

    FAIL = "FAIL"
    ACCEPTED = "ACCEPTED"
    PASS = "PASS"  # noqa: S105 - a verdict
    INCONCLUSIVE = "INCONCLUSIVE"
    QUARANTINED = "QUARANTINED"
    SHOWN = "SHOWN"
    NEW = "NEW"
    ERROR = "ERROR"


class Outcome(StrEnum):
    """What is said of the whole, with the exit code of the command.

    PASS: every metric that is not in quarantine passes.
    FAIL: at least one is slower.
    ERROR: a benchmark is missing, was renamed, crashed, got wrong responses, or has too few rounds.
    INCONCLUSIVE: nothing is shown to be slower, and something could not be shown to be as fast.
    INVALID: a control moved that cannot have; the machine favoured one side, so nothing is said.
    """

    PASS = "PASS"  # noqa: S105 - a verdict
    FAIL = "FAIL"
    ERROR = "ERROR"
    INCONCLUSIVE = "INCONCLUSIVE"
    INVALID = "INVALID"

    @property
    def exit_code(self) -> int:
        """Of the command; 2 is wrong usage."""
        return {"PASS": 0, "FAIL": 1, "ERROR": 3, "INCONCLUSIVE": 4, "INVALID": 5}[self.value]


@dataclass(frozen=True, slots=True)
class Finding:
    """One metric; differences are logarithms of ratios, above 0 where the head is slower.

    Attributes:
        verdict: what is said.
        rounds: how many it rests on.
        estimate: of the difference.
        low: lower limit of its interval; minus infinity where there are too few rounds.
        high: upper limit.
        p: of the test of "slower by more than `delta`".
        delta: what the difference had to exceed, with what is accepted.
        resolution: the smallest difference that could have been seen.
        reason: a sentence where the verdict takes one.
    """

    metric: Metric
    verdict: Verdict
    rounds: int
    estimate: float
    low: float
    high: float
    p: float
    delta: float
    resolution: float
    reason: str = ""

    def said(self, verdict: Verdict, reason: str = "") -> Finding:
        """The same figures with a verdict."""
        return replace(self, verdict=verdict, reason=reason)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is said of a record.

    Attributes:
        outcome: of the whole.
        findings: one for each metric, in the order of the declaration.
        errors: sentences; with any, the outcome is ERROR.
        controls: controls that moved; with any, the outcome is INVALID.
        moved: metrics whose one revision differs from itself.
        self_tests: how many such comparisons were made.
        look: the last look that was taken; None where there were too few rounds for any.
    """

    outcome: Outcome
    findings: list[Finding]
    errors: list[str]
    controls: list[Movement]
    moved: list[Movement]
    self_tests: int
    look: Look | None

    def of(self, *verdicts: Verdict) -> list[Finding]:
        """The findings with one of these verdicts."""
        return [each for each in self.findings if each.verdict in verdicts]

    def undecided(self) -> set[str]:
        """Benchmarks with a primary metric of which nothing is shown yet."""
        return {each.metric.benchmark.name for each in self.of(Verdict.INCONCLUSIVE)}
