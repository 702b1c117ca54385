"""Part 3: the slowest of ours and the slowest of HiGHS in every hostile family.

Ours gets more problems than HiGHS, which takes seconds for many of them: its worst is looked for
harder. HiGHS is stopped at a limit; where it was, its worst is longer than that.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.dispatch import families, highs
from benchmarks.dispatch.judge import FAILURES, judge
from benchmarks.dispatch.ours import solve
from benchmarks.pairs import take_turns
from benchmarks.report import Section, Table, duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.dispatch.session import Session


@dataclass(frozen=True, slots=True)
class Worst:
    """The slowest of one family with one number of plants.

    Attributes:
        problems: how many ours solved; HiGHS got the first `highs_problems` of them.
        ours_s: the slowest of ours, seconds.
        ours_shared_s: the slowest of ours on the problems that HiGHS got, too.
        highs_s: the slowest of HiGHS.
        highs_stopped: how many of HiGHS's ended at the limit.
        failures: findings that must not be.
    """

    family: str
    plants: int
    problems: int
    highs_problems: int
    ours_s: float
    ours_shared_s: float
    highs_s: float
    highs_stopped: int
    failures: list[str]


def measure(session: Session) -> Section:
    """Look for the slowest of every hostile family and every number of plants."""
    hostile = [family for family in families.FAMILIES if family not in families.ORDINARY]
    sizes = session.effort.worst
    with session.progress.steps("worst", len(hostile) * sum(n for n, _ in sizes.values())) as step:
        found = [
            _slowest(session, family, plants, counts, step)
            for plants, counts in sizes.items()
            for family in hostile
        ]
    return _section(found, session)


def _slowest(
    session: Session,
    family: str,
    plants: int,
    counts: tuple[int, int],
    step: Callable[[], None],
) -> Worst:
    limit_s = session.effort.highs_limit_s
    rng = session.rng(f"worst {family} {plants}")
    count, shared = counts
    ours, theirs, stopped, failures = [], [], 0, []
    for number in range(count):
        seed = session.seed_of(number)
        problem = families.draw(family, plants, seed)
        ways: dict[str, Callable[[], object]] = {"ours": partial(solve, problem)}
        if number < shared:
            ways["highs"] = partial(highs.passed, problem, limit_s)
        turns = take_turns(ways, rng)
        ours.append(turns["ours"].cpu_s)
        if number < shared:
            theirs.append(turns["highs"].cpu_s)
            answer = highs.answer(turns["highs"].outcome, problem)
            stopped += answer.verdict is highs.Verdict.OUT_OF_TIME
            finding = judge(problem, turns["ours"].outcome, answer).finding
            if finding in FAILURES:
                failures.append(f"{finding}: family {family!r}, {plants} plants, seed {seed}")
        step()
    return Worst(
        family, plants, count, shared, max(ours), max(ours[:shared]), max(theirs), stopped, failures
    )


def _section(found: list[Worst], session: Session) -> Section:
    limit_s = session.effort.highs_limit_s
    ours = max(found, key=lambda worst: worst.ours_s)
    theirs = max(found, key=lambda worst: (worst.highs_stopped > 0, worst.highs_s))
    counts = "; ".join(
        f"{count} of {plants:,} plants, of which HiGHS got {shared}"
        for plants, (count, shared) in session.effort.worst.items()
    )
    notes = [
        (
            f"For each hostile family {counts}. HiGHS, passed as a matrix, was stopped after "
            f"{limit_s:g} s. CPU times."
        ),
        (
            f"Over the whole set, our slowest took {duration(ours.ours_s)} ({ours.family}, "
            f"{ours.plants:,} plants) and that of HiGHS {_of_highs(theirs, limit_s)} "
            f"({theirs.family}, {theirs.plants:,} plants); HiGHS was stopped "
            f"{sum(worst.highs_stopped for worst in found)} times of "
            f"{sum(worst.highs_problems for worst in found)}."
        ),
    ]
    return Section(
        "worst",
        "The slowest of hostile problems",
        notes,
        [_table(found, limit_s)],
        {"highs_limit_s": limit_s, "families": found},
        [failure for worst in found for failure in worst.failures],
    )


def _table(found: list[Worst], limit_s: float) -> Table:
    sizes = list(dict.fromkeys(worst.plants for worst in found))
    by_key = {(worst.family, worst.plants): worst for worst in found}
    columns = ["family"]
    for plants in sizes:
        columns += [f"{plants:,} plants: Windlass", "HiGHS"]
    rows = []
    for family in dict.fromkeys(worst.family for worst in found):
        cells = [family]
        for plants in sizes:
            worst = by_key[family, plants]
            cells += [duration(worst.ours_s), _of_highs(worst, limit_s)]
        rows.append(tuple(cells))
    return Table(tuple(columns), rows)


def _of_highs(worst: Worst, limit_s: float) -> str:
    return f"over {limit_s:g} s" if worst.highs_stopped else duration(worst.highs_s)
