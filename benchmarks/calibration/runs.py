"""One whole gate with shortened arms, and the line that is kept of it.

The statistics, the looks and the verdicts are the gate's own. Shortened are its arms: each process
measures for less time, micro benchmarks are timed without pytest, and an arm of http is one worker
without the rest of the stack. The checkouts are made once and serve every gate.
"""

from __future__ import annotations

import math
import os
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.calibration import rules
from benchmarks.calibration.busy import busy
from benchmarks.calibration.injections import INJECTIONS, Injection, injected, level_s
from benchmarks.calibration.lines import Line, scaled
from benchmarks.gate import looks
from benchmarks.gate.accepted import Accepted
from benchmarks.gate.measuring import Effort
from benchmarks.gate.session import Gate, Plan
from benchmarks.gate.verdicts import Verdict
from benchmarks.http import arms as http_arms
from benchmarks.micro.work import make
from benchmarks.peers.session import Cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.calibration.lines import Case
    from benchmarks.gate.arms import Arms
    from benchmarks.gate.declaration import Declaration
    from benchmarks.gate.rounds import Record
    from benchmarks.gate.verdicts import Judgement
    from benchmarks.progress import Progress

SHORT = Plan(looks.FULL, Effort(0.06, http_arms.Effort(0.02, 8, 8), bare=True, alone=True), 3600.0)
_PILOT_ROUNDS = 3
_DIGITS = 4
_LARGEST = 99.0
_TURNS = (
    {"micro/routing", "micro/rendering", "micro/parse", "micro/respond"},
    {"http/home"},
    {"micro/json", "micro/calculator", "micro/dispatch"},
    {"micro/json", "micro/calculator", "micro/pipelining"},
    {"http/health"},
    {"micro/json", "micro/calculator", "micro/dispatch"},
    {"micro/routing", "micro/rendering", "micro/parse", "micro/respond"},
    {"http/productionplan"},
    {"micro/json", "micro/calculator", "micro/dispatch"},
)
"""What gates of a commit beside itself measure, in turns; each with the control of its kind."""
_TURNS_BESIDE_LOAD = ({"micro/json", "micro/calculator", "micro/dispatch"}, {"http/home"})
"""Likewise beside another load, which makes all of it slower."""


def benchmarks_of(case: Case) -> set[str]:
    """What a gate measures beside its controls."""
    if case.injection:
        return INJECTIONS[case.injection].benchmarks
    turns = _TURNS_BESIDE_LOAD if case.part == "busy" else _TURNS
    return turns[case.number % len(turns)]


@dataclass(slots=True)
class Runner:
    """Runs one gate after the other on the same two checkouts.

    Attributes:
        arms: of one commit, twice.
        plan: how much is measured.
        say: told of what takes long.
    """

    arms: Arms
    progress: Progress
    say: Callable[[str], None]
    plan: Plan = SHORT
    _levels: dict[str, float] = field(default_factory=dict)

    def run(self, case: Case, only: set[str] | None = None) -> Line:
        """Run one gate.

        Args:
            case: what to run.
            only: benchmarks that are measured; those of the case where there are none.

        Raises:
            UnmeasuredError: something does not start.
        """
        begun = time.monotonic()
        injection = INJECTIONS.get(case.injection)
        if injection:
            self._find_level(injection)
        declared = self.arms.declared.only(only or benchmarks_of(case))
        with ExitStack() as stack:
            if injection:
                stack.enter_context(injected(injection, self.arms.head.root, self._levels))
            if case.part == "busy":
                stack.enter_context(busy(Cpus.of_this_machine().server))
            record, judgement = self._gate(self.plan, declared, _seed(case))
        return _line(case, record, judgement, declared, time.monotonic() - begun)

    def _gate(self, plan: Plan, declared: Declaration, seed: int) -> tuple[Record, Judgement]:
        with _scratch(self.arms) as arms:
            return Gate(arms, plan, declared, Accepted(), seed, self.progress).run(self.say)

    def _find_level(self, injection: Injection) -> None:
        """Measure what an injection is a share of, once: a ratio to a loop holds all day."""
        if not injection.share or injection.of in self._levels:
            return
        benchmark = injection.of.partition(" ")[0]
        kind, _, name = benchmark.partition("/")
        if kind == "micro":
            self._levels[injection.of] = level_s(make(name))
            return
        pilot = replace(self.plan, looks=(looks.Look(_PILOT_ROUNDS, 1.0),))
        record, _ = self._gate(pilot, self.arms.declared.only({benchmark}), 0)
        self._levels.update(_levels(record))


@contextmanager
def _scratch(arms: Arms) -> Iterator[Arms]:
    """A fresh folder for the sockets and logs of one gate."""
    with TemporaryDirectory(prefix="gate-", dir=arms.scratch) as folder:
        yield replace(arms, scratch=Path(folder))


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
    return Line(
        case=case,
        commit=record.base,
        at=f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        cpus=len(os.sched_getaffinity(0)),
        load=round(os.getloadavg()[0], 1),
        outcome=str(judgement.outcome),
        rounds=len(record.rounds),
        seconds=round(seconds, 1),
        red=[each.metric.name for each in judgement.of(Verdict.FAIL)],
        open=sum(each.verdict in {Verdict.INCONCLUSIVE, Verdict.QUARANTINED} for each in primary),
        resolutions={each.metric.name: _ratio(each.resolution) for each in primary},
        estimates={
            each.metric.name: _ratio(each.estimate) for each in judgement.findings if each.rounds
        },
        others=rules.red(record, declared.metrics()),
        controls=[each.metric.name for each in judgement.controls],
        moved=len(judgement.moved),
        self_tests=judgement.self_tests,
        failures=judgement.errors,
        figures={
            name: scaled(each.figures[name] for each in record.rounds if name in each.figures)
            for name in sorted({name for each in record.rounds for name in each.figures})
        },
        means={
            name: scaled(each.means[name] for each in record.rounds[:1])
            for name in sorted(record.rounds[0].means if record.rounds else ())
        },
    )


def _ratio(difference: float) -> float:
    """A ratio to four digits; infinity, which JSON does not carry, is a large one."""
    return round(min(_LARGEST, math.exp(min(difference, _LARGEST))), _DIGITS)
