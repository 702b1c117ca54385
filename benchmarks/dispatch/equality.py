"""Part 1: thousands of random problems, ours equal to HiGHS's optimum to the last digit.

Nothing is timed here, so every CPU works: a process each, ended by the kernel with its parent.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.prctl import die_with_parent
from benchmarks.dispatch import families, highs
from benchmarks.dispatch.judge import FAILURES, MEANINGS, Finding, Judgement, judge
from benchmarks.dispatch.ours import solve
from benchmarks.dispatch.session import UnmeasuredError
from benchmarks.report import Section, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.dispatch.session import Session

_SMALL_PLANTS = 3, 60
_DEADLINE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Case:
    """One problem by what it is drawn from."""

    family: str
    plants: int
    seed: int


def measure(session: Session) -> Section:
    """Compare every problem of the session."""
    cases = list(_cases(session))
    found = _judge_all(cases, session)
    return _section(cases, found, session)


def judge_case(case: Case, limit_s: float) -> Judgement:
    """Draw a problem, solve it in both ways, and compare."""
    problem = families.draw(case.family, case.plants, case.seed)
    theirs = highs.answer(highs.passed(problem, limit_s), problem)
    return judge(problem, solve(problem), theirs)


def _cases(session: Session) -> Iterator[Case]:
    """The problems; sizes are spread evenly over their logarithms, most being small in practice."""
    rng, effort = session.rng("equality"), session.effort
    numbers = [_SMALL_PLANTS] * effort.equal_small + [effort.large_plants] * effort.equal_large
    for family in families.FAMILIES:
        for number, (least, most) in enumerate(numbers):
            plants = round(least * (most / least) ** rng.random())
            yield Case(family, plants, session.seed_of(number))


def _judge_all(cases: list[Case], session: Session) -> dict[Case, Judgement]:
    limit_s = session.effort.highs_limit_s
    found = {}
    pool = ProcessPoolExecutor(
        max_workers=len(os.sched_getaffinity(0)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=die_with_parent,
        initargs=(signal.SIGKILL,),
    )
    try:
        # The largest first: no process is left with a long one when the others have ended.
        order = sorted(cases, key=lambda case: -case.plants)
        waiting = {pool.submit(judge_case, case, limit_s): case for case in order}
        with session.progress.steps("equality", len(cases)) as step:
            for done in as_completed(waiting, timeout=_DEADLINE_S):
                found[waiting[done]] = done.result()
                step()
    except TimeoutError as error:
        for process in multiprocessing.active_children():
            process.kill()
        raise UnmeasuredError(
            f"Only {len(found)} of {len(cases)} problems were compared within {_DEADLINE_S:g} s; "
            "try again on a machine that is less busy, or with --quick"
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return found


def _section(cases: list[Case], found: dict[Case, Judgement], session: Session) -> Section:
    large = sum(case.plants > _SMALL_PLANTS[1] for case in cases)
    counts = {family: Counter[str]() for family in families.FAMILIES}
    for case, judgement in found.items():
        counts[case.family][judgement.finding] += 1
    total = sum(counts.values(), Counter[str]())
    excess = max((j.excess for j in found.values() if j.finding is Finding.HIGHS_DEARER), default=0)
    notes = [
        (
            f"{len(cases):,} problems: {len(cases) - large:,} of {_SMALL_PLANTS[0]} to "
            f"{_SMALL_PLANTS[1]} plants, {large:,} of more, up to "
            f"{max(case.plants for case in cases):,}. HiGHS passed as a matrix, to a gap of "
            f"nothing, for at most {session.effort.highs_limit_s:g} s each."
        ),
        *(f"{name}: {MEANINGS[name]}." for name in Finding if total[name]),
    ]
    if not total[Finding.OURS_WRONG]:
        notes.append("Every plan of ours holds by the audit.")
    if excess:
        notes.append(f"Where HiGHS is dearer, it is by a share of at most {excess:.1e}.")
    failures = [
        f"{found[case].finding}: family {case.family!r}, {case.plants} plants, seed {case.seed}"
        for case in cases
        if found[case].finding in FAILURES
    ]
    return Section(
        "equality",
        "Equality with HiGHS",
        notes,
        [_table(counts, total)],
        {"problems": len(cases), "large": large, "families": counts, "highs_excess": excess},
        failures,
    )


def _table(counts: dict[str, Counter[str]], total: Counter[str]) -> Table:
    shown = [name for name in Finding if total[name] or name in FAILURES]
    rows = [
        (family, f"{count.total():,}", *(f"{count[name]:,}" for name in shown))
        for family, count in [*counts.items(), ("all", total)]
    ]
    return Table(("family", "problems", *shown), rows)
