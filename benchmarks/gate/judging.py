"""Recorded rounds -> a verdict for each metric and for the whole: a pure function.

What each verdict claims, and how sure it is, stands in `benchmarks.gate.verdicts`. The rules were
fixed before any rounds were measured: levels in `looks`, deltas in `declaration`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.gate import health, looks, signed_rank
from benchmarks.gate.resolution import resolution
from benchmarks.gate.rounds import differences
from benchmarks.gate.verdicts import Finding, Judgement, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.gate.accepted import Accepted
    from benchmarks.gate.declaration import Declaration, Metric
    from benchmarks.gate.health import Movement
    from benchmarks.gate.looks import Look
    from benchmarks.gate.rounds import Record

TOO_COARSE = math.log(1.20)
"""A metric that could not see a slowdown of this size is quarantined."""
QUARANTINED_DELTA = math.log(1.25)
"""What is still called a slowdown of a metric in quarantine."""
_NOT_ALONE = "slower if it were measured alone, but not with the risk that all metrics share"


def judge(
    record: Record, declaration: Declaration, accepted: Accepted, planned: Sequence[Look]
) -> Judgement:
    """Judge a record.

    Args:
        record: what was measured.
        declaration: which metrics there are; primary ones are tested together.
        accepted: slowdowns that are meant.
        planned: the looks, as fixed beforehand.
    """
    metrics = declaration.metrics()
    rounds = {
        m.name: differences(record.rounds, m.name, more_is_better=m.more_is_better) for m in metrics
    }
    primary = [metric for metric in metrics if metric.primary]
    taken = [look for look in planned if any(len(of) >= look.rounds for of in rounds.values())]
    moved = health.moved(record.rounds, primary, taken)
    controls = health.controls(record.rounds, metrics, taken)
    bench = _Bench(metrics, rounds, planned, accepted, {m.metric.name: m for m in moved})
    errors = _errors(record, accepted)
    findings = [_with_what_failed(finding, record) for finding in bench.findings()]
    return Judgement(
        outcome=_outcome(findings, errors, controls),
        findings=findings,
        errors=errors,
        controls=controls,
        moved=moved,
        self_tests=health.REVISIONS * sum(bool(rounds[metric.name]) for metric in primary),
        look=taken[-1] if taken else None,
    )


def _outcome(findings: list[Finding], errors: list[str], controls: list[Movement]) -> Outcome:
    verdicts = {each.verdict for each in findings}
    if errors or Verdict.ERROR in verdicts:
        return Outcome.ERROR
    if controls:
        return Outcome.INVALID
    if Verdict.FAIL in verdicts:
        return Outcome.FAIL
    proven = Verdict.PASS in verdicts or Verdict.ACCEPTED in verdicts
    return Outcome.INCONCLUSIVE if Verdict.INCONCLUSIVE in verdicts or not proven else Outcome.PASS


def _errors(record: Record, accepted: Accepted) -> list[str]:
    failures = [
        f"{each.benchmark} failed on the {each.arm}: {each.reason}" for each in record.failures
    ]
    missing = [
        f"{name} is declared by the base and not by the head; where that is meant, say so in "
        "[[removed]] of accepted.toml"
        for name in record.missing
        if name not in accepted.removed
    ]
    return failures + missing


def _with_what_failed(finding: Finding, record: Record) -> Finding:
    name = finding.metric.benchmark.name
    for failure in record.failures:
        if failure.benchmark == name:
            return finding.said(Verdict.ERROR, f"failed on the {failure.arm}")
    if name in record.new:
        return finding.said(Verdict.NEW, "the base has no such benchmark")
    return finding


# ---- one metric


@dataclass(frozen=True, slots=True)
class _Bench:
    """The metrics of a record, tested together.

    Attributes:
        metrics: all of them.
        rounds: the differences of each, by its name.
        planned: every look.
        distrusted: metrics whose one revision differs from itself, with how.
    """

    metrics: list[Metric]
    rounds: Mapping[str, list[float]]
    planned: Sequence[Look]
    accepted: Accepted
    distrusted: Mapping[str, Movement]

    @property
    def family(self) -> int:
        """Among how many metrics the risk is shared."""
        return sum(metric.primary for metric in self.metrics)

    def findings(self) -> list[Finding]:
        """Take every look in its order; what a look decides stays decided."""
        found: dict[str, Finding] = {}
        for look in self.planned:
            figures = [self._figures(metric, look) for metric in self.metrics]
            p_values = {each.metric.name: each.p for each in figures if each.metric.primary}
            slower = looks.holm(p_values, look.false_alarm)
            for each in figures:
                name = each.metric.name
                before = found.get(name)
                is_open = before is None or before.verdict is Verdict.INCONCLUSIVE
                if before is None or (is_open and each.rounds >= look.rounds):
                    found[name] = self._decided(each, look, is_slower=name in slower)
        return [found[metric.name] for metric in self.metrics]

    def _figures(self, metric: Metric, look: Look) -> Finding:
        """The figures of a metric at a look, and no verdict yet."""
        of = self.rounds[metric.name][: look.rounds]
        seen = self._resolution(metric, of, look.rounds, look)
        delta = metric.delta + self.accepted.allowance(metric)
        if self._why_quarantined(metric, of, look):
            delta = max(delta, QUARANTINED_DELTA)
        enough = len(of) >= look.rounds
        return Finding(
            metric=metric,
            verdict=Verdict.INCONCLUSIVE,
            rounds=len(of),
            estimate=signed_rank.estimate(of) if of else math.nan,
            low=signed_rank.lower_limit(of, look.limit_level) if of else -math.inf,
            high=signed_rank.upper_limit(of, look.limit_level) if of else math.inf,
            p=signed_rank.p_more_than(of, delta) if enough else 1.0,
            delta=delta,
            resolution=seen,
        )

    def _decided(self, found: Finding, look: Look, *, is_slower: bool) -> Finding:
        """Give a verdict, as far as one may be given."""
        if not found.metric.primary:
            return found.said(Verdict.SHOWN)
        if found.rounds < look.rounds:
            words = f"measured in {found.rounds} of the {look.rounds} rounds that a verdict takes"
            return found.said(Verdict.INCONCLUSIVE, words)
        return found.said(*self._verdict(found, look, is_slower=is_slower))

    def _verdict(self, found: Finding, look: Look, *, is_slower: bool) -> tuple[Verdict, str]:
        metric, line = found.metric, self.accepted.line_for(found.metric)
        if is_slower:
            return Verdict.FAIL, f"more than the {line.size:.1%} that are accepted" if line else ""
        why = self._why_quarantined(metric, self.rounds[metric.name][: look.rounds], look)
        if why:
            return Verdict.QUARANTINED, why
        if line and found.low > metric.delta:
            return Verdict.ACCEPTED, f"accepted until {line.expires}: {line.reason}"
        if found.high < found.delta:
            return Verdict.PASS, ""
        return Verdict.INCONCLUSIVE, _NOT_ALONE if found.low > found.delta else ""

    def _why_quarantined(self, metric: Metric, of: list[float], look: Look) -> str:
        """Why a metric may claim little; empty where it may claim what is usual.

        Too noisy is only said at the last look: before it, one disturbed round among twelve would
        spare a metric the rounds that show that it was one.
        """
        if metric.name in self.distrusted:
            movement = self.distrusted[metric.name]
            return (
                f"{movement.compared} differs from itself within a round, by "
                f"{math.expm1(movement.estimate):+.1%}"
            )
        is_last = look == self.planned[-1]
        if is_last and self._resolution(metric, of, look.rounds, look) > TOO_COARSE:
            return f"too noisy: {look.rounds} rounds would not show {math.expm1(TOO_COARSE):.0%}"
        return ""

    def _resolution(self, metric: Metric, of: list[float], rounds: int, look: Look) -> float:
        level = looks.strictest_level(look, self.family)
        return resolution(of, rounds, metric.delta, level)
