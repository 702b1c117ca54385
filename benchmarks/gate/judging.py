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
    bench = _Bench(metrics, rounds, planned, accepted, moved)
    findings = [_with_what_failed(finding, record) for finding in bench.findings()]
    errors = [*_errors(record, accepted), *_too_few(findings, planned[0])]
    return Judgement(
        outcome=_outcome(findings, errors, [] if record.environments_differ else controls),
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
        f"the base {'decides by' if ' ' in name else 'declares'} {name}, and the head does not; "
        "where that is meant, say so in [[removed]] of accepted.toml"
        for name in record.missing
        if name not in accepted.removed
    ]
    return failures + missing


def _too_few(findings: list[Finding], first: Look) -> list[str]:
    """Metrics that no look could judge; were that neutral, what is slow to start would be too."""
    told = {Verdict.ERROR, Verdict.NEW}
    short = [
        each
        for each in findings
        if each.metric.primary and each.verdict not in told and each.rounds < first.rounds
    ]
    if not short:
        return []
    least = min(each.rounds for each in short)
    names = ", ".join(each.metric.name for each in short)
    lack = f"{least} of the {first.rounds} rounds that a verdict takes are too few"
    return [f"{lack} to judge {names}; run it again, where less else is done"]


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
        moved: differences of a revision with itself.
    """

    metrics: list[Metric]
    rounds: Mapping[str, list[float]]
    planned: Sequence[Look]
    accepted: Accepted
    moved: Sequence[Movement]

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
        delta = metric.delta + self.accepted.allowance(metric)
        if self._why_distrusted(metric, look) or self._why_noisy(metric, look):
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
            resolution=self._resolution(metric, look) + delta - metric.delta,
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
        allowed = metric.delta + self.accepted.allowance(metric)
        if is_slower:
            return Verdict.FAIL, self._beyond(metric)
        why = self._why_distrusted(metric, look) or self._why_noisy(metric, look)
        if why and found.low > allowed:
            return Verdict.INCONCLUSIVE, f"{why}, and slower for all that"
        if why:
            is_excused = look == self.planned[-1] and not self._only_head_moved(metric, look)
            return (Verdict.QUARANTINED if is_excused else Verdict.INCONCLUSIVE), why
        if found.low > allowed:
            return Verdict.INCONCLUSIVE, _NOT_ALONE
        if line and (found.low > metric.delta or metric.delta <= found.high < allowed):
            return Verdict.ACCEPTED, f"accepted until {line.expires}: {line.reason}"
        return (Verdict.PASS if found.high < allowed else Verdict.INCONCLUSIVE), ""

    def _beyond(self, metric: Metric) -> str:
        """What is accepted of a metric and was not enough."""
        line = self.accepted.line_for(metric)
        if line:
            return f"more than the {line.size:.1%} that are accepted"
        if self.accepted.is_spent(metric):
            return "the base has the line that accepts it too, so what that accepts is in the base"
        return ""

    def _why_noisy(self, metric: Metric, look: Look) -> str:
        """Why a metric may claim little; empty where it may claim what is usual.

        It is only said at the last look: before it, one disturbed round among twelve would spare a
        metric the rounds that show that it was one.
        """
        if look == self.planned[-1] and self._resolution(metric, look) > TOO_COARSE:
            return f"too noisy: {look.rounds} rounds would not show {math.expm1(TOO_COARSE):.0%}"
        return ""

    def _why_distrusted(self, metric: Metric, look: Look) -> str:
        """Likewise, because a revision was found to differ from itself by this look."""
        return " and ".join(
            f"{each.compared} differs from itself within a round, by "
            f"{math.expm1(each.estimate):+.1%}"
            for each in self._moved(metric, look)
        )

    def _only_head_moved(self, metric: Metric, look: Look) -> bool:
        """Whether it may be the change that makes the head differ from itself."""
        return {each.compared for each in self._moved(metric, look)} == {"B"}

    def _moved(self, metric: Metric, look: Look) -> list[Movement]:
        return [m for m in self.moved if m.metric == metric and m.rounds <= look.rounds]

    def _resolution(self, metric: Metric, look: Look) -> float:
        of = self.rounds[metric.name][: look.rounds]
        level = looks.strictest_level(look, self.family)
        return resolution(of, look.rounds, metric.delta, level)
