"""One whole gate with shortened arms, and the line that is kept of it."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING, Literal

import msgspec

from benchmarks.calibration import rules
from benchmarks.calibration.busy import busy
from benchmarks.calibration.injections import INJECTIONS, inject
from benchmarks.gate import looks
from benchmarks.gate.accepted import Accepted
from benchmarks.gate.arms import prepared
from benchmarks.gate.measuring import Effort
from benchmarks.gate.session import Gate, Plan
from benchmarks.gate.verdicts import Verdict
from benchmarks.http import arms as http_arms
from benchmarks.peers.session import Cpus

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.gate.declaration import Declaration
    from benchmarks.gate.rounds import Record
    from benchmarks.gate.verdicts import Judgement
    from benchmarks.progress import Progress

Part = Literal["aa", "injected", "busy"]
SHORT = Plan(looks.FULL, Effort(0.05, http_arms.Effort(0.15, 0.15, 0.05)), 3600.0)
_PILOT = Plan((looks.Look(2, 1.0),), SHORT.effort, 3600.0)
_DIGITS = 4
_LARGEST = 99.0


class Case(msgspec.Struct, frozen=True):
    """What is to be run.

    Attributes:
        part: "aa" and "busy" compare a commit with itself.
        injection: name of the slowdown; empty for none.
        number: of the run within its part and injection, which decides its seed.
    """

    part: Part
    injection: str
    number: int


class Line(msgspec.Struct, frozen=True):
    """What is kept of a run.

    Attributes:
        case: what was run.
        commit: that was compared with itself.
        outcome: of the gate.
        rounds: how many it took.
        seconds: likewise.
        red: metrics that were called slower.
        open: how many primary metrics were left undecided or in quarantine.
        resolutions: by metric: the smallest ratio that could have been seen.
        estimates: by metric: the ratio that was found.
        others: by rule: the metrics that it would have called slower.
        controls: controls that moved.
        moved: how many of `self_tests` comparisons of a revision with itself found a difference.
        figures: by metric: A1, A2, B1, B2 of each round, to four digits.
    """

    case: Case
    commit: str
    outcome: str
    rounds: int
    seconds: float
    red: list[str]
    open: int
    resolutions: dict[str, float]
    estimates: dict[str, float]
    others: dict[str, list[str]]
    controls: list[str]
    moved: int
    self_tests: int
    figures: dict[str, list[tuple[float, float, float, float]]]


def run(
    case: Case, only: set[str], progress: Progress, say: Callable[[str], None], plan: Plan = SHORT
) -> Line:
    """Run one gate.

    Args:
        case: what to run.
        only: benchmarks that are measured where nothing is injected; all where it is empty.
        progress: of the measurement.
        say: told of what takes long.
        plan: how much is measured.

    Raises:
        GateError: the checkouts cannot be made.
        UnmeasuredError: something does not start.
    """
    begun = time.monotonic()
    with ExitStack() as stack:
        arms = stack.enter_context(prepared("HEAD", "HEAD", say))
        injection = INJECTIONS[case.injection] if case.injection else None
        names = injection.benchmarks if injection else only or arms.declared.names()
        declared = arms.declared.only(names)
        seed = _seed(case)
        if injection:
            pilot = arms.declared.only({injection.of.partition(" ")[0]})
            record, _ = Gate(arms, _PILOT, pilot, Accepted(), seed, progress).run(say)
            inject(injection, arms.head.root, _levels(record))
        if case.part == "busy":
            stack.enter_context(busy(Cpus.of_this_machine().server))
        record, judgement = Gate(arms, plan, declared, Accepted(), seed, progress).run(say)
    return _line(case, record, judgement, declared, time.monotonic() - begun)


def _seed(case: Case) -> int:
    return sum(map(ord, f"{case.part}{case.injection}")) * 10_000 + case.number


def _levels(record: Record) -> dict[str, float]:
    names = {name for each in record.rounds for name in each.figures}
    return {
        name: median(
            value
            for each in record.rounds
            if name in each.figures
            for value in rules.values(each.figures[name])
        )
        for name in names
    }


def _line(
    case: Case, record: Record, judgement: Judgement, declared: Declaration, seconds: float
) -> Line:
    primary = [each for each in judgement.findings if each.metric.primary]
    names = sorted({name for each in record.rounds for name in each.figures})
    return Line(
        case=case,
        commit=record.base,
        outcome=str(judgement.outcome),
        rounds=len(record.rounds),
        seconds=round(seconds, 1),
        red=[each.metric.name for each in judgement.of(Verdict.FAIL)],
        open=sum(each.verdict in {Verdict.INCONCLUSIVE, Verdict.QUARANTINED} for each in primary),
        resolutions={each.metric.name: _ratio(each.resolution) for each in primary},
        estimates={each.metric.name: _ratio(each.estimate) for each in judgement.findings},
        others=rules.red(record, declared.metrics()),
        controls=[each.metric.name for each in judgement.controls],
        moved=len(judgement.moved),
        self_tests=judgement.self_tests,
        figures={
            name: [
                _short(rules.values(each.figures[name]))
                for each in record.rounds
                if name in each.figures
            ]
            for name in names
        },
    )


def _ratio(difference: float) -> float:
    """A ratio to four digits; infinity, which JSON does not carry, is a large one."""
    return round(min(_LARGEST, math.exp(min(difference, _LARGEST))), _DIGITS)


def _short(of: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    a1, a2, b1, b2 = (float(f"{value:.{_DIGITS}g}") for value in of)
    return a1, a2, b1, b2
