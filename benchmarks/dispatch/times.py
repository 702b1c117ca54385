"""Part 2: how many times as fast as HiGHS on ordinary problems, by number of plants.

From plants and load to the answer, the making of HiGHS's model included. Problems come in blocks:
each way solves the whole block, right after the others, in random order; each problem is drawn anew
and solved once in each way. The first problem of a block finds the caches full of another way's
code, the others find them as a solver at work does; both are told. The answers are compared, too.
Times are CPU times, since elapsed ones flatter the faster way on a busy machine; how much longer
the clock ran is said.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.dispatch import families, highs
from benchmarks.dispatch.judge import FAILURES, judge
from benchmarks.dispatch.ours import solve
from benchmarks.pairs import Ratio, Summary, ratio, summarise, take_blocks
from benchmarks.report import Section, Table, duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.dispatch.families import Problem
    from benchmarks.dispatch.session import Session

WANTED = {6: 40, 20: 40, 100: 20, 1000: 10, 2000: 10}
"""By number of plants: how many times as fast as HiGHS, passed as a matrix, we mean to be."""
WAYS = {"ours": "Windlass", "passed": "HiGHS, matrix", "stated": "HiGHS, modelling language"}
_LIMIT_S = 60.0
BLOCK = 10
"""Problems that one way solves before the next has its turn."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What was measured with one number of plants.

    Attributes:
        seconds: CPU time of each way, in the order of the problems.
        elapsed: what the clock ran, all problems and ways together, as a multiple of CPU time.
        findings: how often each finding came of comparing the answers.
    """

    plants: int
    seconds: dict[str, list[float]]
    elapsed: float
    findings: Counter[str]

    def summary(self, way: str) -> Summary:
        """Times of one way."""
        return summarise(self.seconds[way])

    def ratio(self, way: str, seed: int) -> Ratio:
        """How many times as long as ours a way takes."""
        return ratio(self.seconds[way], self.seconds["ours"], seed)

    def of_first(self) -> Timing:
        """Only the first problem of each block."""
        seconds = {way: times[::BLOCK] for way, times in self.seconds.items()}
        return Timing(self.plants, seconds, self.elapsed, Counter())

    def of_family(self, number: int) -> Timing:
        """Only the problems of one of the ordinary families, which take turns."""
        among = slice(number, None, len(families.ORDINARY))
        seconds = {way: times[among] for way, times in self.seconds.items()}
        return Timing(self.plants, seconds, self.elapsed, Counter())


def ways(problem: Problem, limit_s: float) -> dict[str, Callable[[], object]]:
    """Each way to solve a problem."""
    return {
        "ours": partial(solve, problem),
        "passed": partial(highs.passed, problem, limit_s),
        "stated": partial(highs.stated, problem, limit_s),
    }


def time_ordinary(session: Session, what: str, plants: int, count: int) -> Timing:
    """Time every way on so many ordinary problems."""
    rng = session.rng(f"{what} {plants}")
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    findings: Counter[str] = Counter()
    elapsed_s = 0.0
    for work in ways(session.ordinary(plants, count), _LIMIT_S).values():
        work()  # what is loaded when it is first used
    with session.progress.steps(f"{what}, {plants:,} plants", count) as step:
        for first in range(0, count, BLOCK):
            block = range(first, min(first + BLOCK, count))
            problems = [session.ordinary(plants, number) for number in block]
            each = [ways(problem, _LIMIT_S) for problem in problems]
            turns = take_blocks({way: [work[way] for work in each] for way in WAYS}, rng)
            for way, taken in turns.items():
                seconds[way] += [turn.cpu_s for turn in taken]
                elapsed_s += sum(turn.elapsed_s for turn in taken)
            for number, problem in enumerate(problems):
                ours = turns["ours"][number].outcome
                for way in ("passed", "stated"):
                    theirs = highs.answer(turns[way][number].outcome, problem)
                    findings[judge(problem, ours, theirs).finding] += 1
                step()
    return Timing(plants, seconds, elapsed_s / sum(map(sum, seconds.values())), findings)


def measure(session: Session) -> Section:
    """Time every number of plants of the session."""
    timings = [
        time_ordinary(session, "time", plants, count)
        for plants, count in session.effort.timed.items()
    ]
    findings = sum((timing.findings for timing in timings), Counter[str]())
    compared = ", ".join(f"{count:,} {name}" for name, count in findings.most_common())
    notes = [
        (
            "From plants and load to the answer, HiGHS's model included; ordinary problems, half "
            "of them with efficiencies of two digits and half of four. Each way solved each "
            f"problem once, in blocks of {BLOCK}, the ways in random order for each block."
        ),
        (
            "CPU times. The clock ran "
            f"{max(timing.elapsed for timing in timings):.2f} times as long at most; much more "
            "than 1 means that the machine was busy with something else."
        ),
        "A ratio is that of the medians, with its 95 % interval (bootstrap over pairs).",
        f"The answers, compared with both ways of HiGHS: {compared}.",
    ]
    failures = [
        f"{findings[name]} times: {name}, among the timed problems"
        for name in FAILURES
        if findings[name]
    ]
    return Section(
        "time",
        "Time beside HiGHS",
        notes,
        [_times(timings), _ratios(timings, session.seed), _by_family(timings, session.seed)],
        [_data(timing, session.seed) for timing in timings],
        failures,
    )


def _times(timings: list[Timing]) -> Table:
    columns = ["plants", "problems"]
    for name in WAYS.values():
        columns += [f"{name}: median", "p99"]
    rows = []
    for timing in timings:
        cells = [f"{timing.plants:,}", f"{timing.summary('ours').count:,}"]
        for way in WAYS:
            summary = timing.summary(way)
            cells += [duration(summary.median_s), duration(summary.p99_s)]
        rows.append(tuple(cells))
    return Table(tuple(columns), rows, words=0)


def _ratios(timings: list[Timing], seed: int) -> Table:
    rows = []
    for timing in timings:
        wanted = WANTED.get(timing.plants)
        found = timing.ratio("passed", seed)
        rows.append((
            f"{timing.plants:,}",
            str(found),
            str(timing.ratio("stated", seed)),
            str(timing.of_first().ratio("passed", seed)),
            f"{wanted}" if wanted else "",
            ("yes" if found.value >= wanted else "no") if wanted else "",
        ))  # fmt: skip
    columns = (
        "plants",
        "HiGHS, matrix / Windlass",
        "modelling language / Windlass",
        "matrix / Windlass, first of a block",
        "wanted",
        "reached",
    )
    return Table(columns, rows, words=0)


def _by_family(timings: list[Timing], seed: int) -> Table:
    """The matrix's ratio in each ordinary family by itself."""
    rows = [
        (
            f"{timing.plants:,}",
            *(
                str(timing.of_family(number).ratio("passed", seed))
                for number in range(len(families.ORDINARY))
            ),
        )
        for timing in timings
    ]
    titles = (f"HiGHS, matrix / Windlass: {family}" for family in families.ORDINARY)
    return Table(("plants", *titles), rows, words=0)


def _data(timing: Timing, seed: int) -> dict[str, object]:
    return {
        "plants": timing.plants,
        "wanted": WANTED.get(timing.plants),
        "ratio_passed": timing.ratio("passed", seed),
        "ratio_stated": timing.ratio("stated", seed),
        "summaries": {way: timing.summary(way) for way in WAYS},
        "elapsed": timing.elapsed,
        "seconds": timing.seconds,
        "findings": timing.findings,
    }
