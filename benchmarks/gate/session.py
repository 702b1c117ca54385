"""A gate under way: a trial, the rounds of the first look, and more of what is still open.

The trial is not counted. It fills caches, finds the rates of the open loops, and shows what cannot
be measured, so that this is known after half a minute.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

from app.stack import binaries
from benchmarks.gate import looks
from benchmarks.gate.judging import judge
from benchmarks.gate.measuring import Bench, Effort
from benchmarks.gate.rounds import Failure, Record
from benchmarks.gate.schedule import draw
from benchmarks.gate.verdicts import Outcome
from benchmarks.http import arms as http_arms
from benchmarks.http.sender import sender
from benchmarks.machine import ROOT
from benchmarks.peers.redis_server import redis
from benchmarks.peers.session import Cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.gate.accepted import Accepted
    from benchmarks.gate.arms import Arms
    from benchmarks.gate.declaration import Declaration
    from benchmarks.gate.looks import Look
    from benchmarks.gate.rounds import Round
    from benchmarks.gate.verdicts import Judgement
    from benchmarks.progress import Progress


@dataclass(frozen=True, slots=True)
class Plan:
    """How much a gate measures; fixed before it begins.

    Attributes:
        looks: when it is judged.
        effort: of a round.
        budget_s: a round that would end later is not begun.
        quick: whether this is the short form.
        http: benchmarks of http that are measured where none are named; None for all.
    """

    looks: Sequence[Look]
    effort: Effort
    budget_s: float
    quick: bool = False
    http: frozenset[str] | None = None

    def usual(self, declared: Declaration) -> set[str]:
        """Names of the benchmarks that are measured where none are named."""
        return {
            each.name
            for each in declared.benchmarks
            if each.kind == "micro" or self.http is None or each.name in self.http
        }


FULL = Plan(looks.FULL, Effort(0.15, http_arms.Effort(0.03, 12, 10)), 13.5 * 60)
QUICK = Plan(
    looks.QUICK, Effort(0.1, http_arms.Effort(0.03, 8, 8), alone=True), 2.8 * 60, quick=True,
    http=frozenset({"http/home"}),
)  # fmt: skip
_LONGEST_REASON = 400
_TRIAL_MICRO_S = 0.05


@dataclass(slots=True)
class Gate:
    """A gate under way.

    Attributes:
        declared: what is measured and judged.
        clock: seconds that only grow.
    """

    arms: Arms
    plan: Plan
    declared: Declaration
    accepted: Accepted
    seed: int
    progress: Progress
    clock: Callable[[], float] = time.monotonic
    record: Record = field(init=False)
    _begun: float = field(init=False)
    _open: list[str] = field(init=False)

    def run(self, say: Callable[[str], None]) -> tuple[Record, Judgement]:
        """Measure and judge.

        Args:
            say: told of what takes long.

        Raises:
            UnmeasuredError: Redis or the load generator cannot be started.
            StackError: there is no Redis or Nginx.
        """
        self._begun = self.clock()
        self._open = [each.name for each in self.declared.benchmarks]
        self.record = Record(
            base=self.arms.base.commit,
            head=self.arms.head.commit,
            quick=self.plan.quick,
            rounds=[],
            missing=self.arms.missing(),
            altered=list(self.arms.altered),
            environments_differ=self.arms.environments_differ,
        )
        with self._bench(say) as bench:
            self._measure(replace(bench, effort=_trial(bench.effort)), [0], "trial")
            judgement = self._looks(bench)
        return self.record, judgement

    @contextmanager
    def _bench(self, say: Callable[[str], None]) -> Iterator[Bench]:
        cpus = Cpus.of_this_machine()
        if self.declared.of_kind("http") and not self.plan.effort.alone:
            # Four stacks that start at once would each fetch it, and wait for that too long.
            binaries.provide(binaries.NGINX, ROOT, os.environ.get("PATH", os.defpath), say)
        with ExitStack() as stack:
            yield Bench(
                arms=self.arms,
                effort=self.plan.effort,
                cpus=cpus,
                redis=stack.enter_context(redis(self.arms.scratch, cpus.load, say)),
                sender=stack.enter_context(sender(cpus.load)),
                step=lambda: None,
            )

    def _looks(self, bench: Bench) -> Judgement:
        """Measure up to each look, and go on only for what it leaves open."""
        controls = {each.name for each in self.declared.benchmarks if each.control}
        most = self.plan.looks[-1].rounds
        for look in self.plan.looks:
            first = len(self.record.rounds) + 1
            what = f"rounds {first} to {look.rounds}, of {most} at most"
            self._measure(bench, range(first, look.rounds + 1), what)
            judgement = self._judge()
            undecided = judgement.undecided()
            if judgement.outcome in {Outcome.FAIL, Outcome.ERROR} or not undecided:
                break
            self._open = [name for name in self._open if name in undecided | controls]
        return judgement

    def _judge(self) -> Judgement:
        return judge(self.record, self.declared, self.accepted, self.plan.looks)

    def _measure(self, bench: Bench, numbers: Sequence[int], what: str) -> None:
        """Measure rounds; 0 is the trial, which is not kept."""
        total = bench.steps(self._open) * len(numbers)
        if not total:
            return
        with self.progress.steps(what, total) as step:
            for number in numbers:
                if not self._has_time_for(number):
                    return
                measured, failures = replace(bench, step=step).measure(
                    number, draw(self.seed, number), self._open
                )
                self._note(failures)
                if number:
                    self._keep(measured)

    def _has_time_for(self, number: int) -> bool:
        """Whether another round ends within the budget, if it takes as long as the longest."""
        longest = max((each.seconds for each in self.record.rounds), default=0.0)
        if self.clock() - self._begun + longest <= self.plan.budget_s:
            return True
        note = f"the time was up before round {number}"
        self.record = msgspec.structs.replace(self.record, notes=[*self.record.notes, note])
        return False

    def _keep(self, measured: Round) -> None:
        self.record = msgspec.structs.replace(self.record, rounds=[*self.record.rounds, measured])

    def _note(self, failures: dict[tuple[str, str], str]) -> None:
        """Keep what failed, and measure it no more."""
        new, failed = list(self.record.new), list(self.record.failures)
        for (name, letter), reason in failures.items():
            role = self.arms.of(letter).role
            on_head = any((name, arm) in failures for arm in ("B1", "B2"))
            if role == "base" and name not in self.arms.base_names and not on_head:
                new.append(name)
            elif (name, role) not in {(each.benchmark, each.arm) for each in failed}:
                failed.append(Failure(name, role, " ".join(reason.split())[:_LONGEST_REASON]))
            self._open = [each for each in self._open if each != name]
        self.record = msgspec.structs.replace(self.record, new=sorted(set(new)), failures=failed)


def _trial(effort: Effort) -> Effort:
    """A trial's effort: no open loop, whose rate it finds."""
    load = replace(effort.http, open=0)
    return replace(effort, micro_s=min(_TRIAL_MICRO_S, effort.micro_s), http=load)
