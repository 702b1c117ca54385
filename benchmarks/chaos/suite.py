"""Runs faults one after the other and reports on them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.chaos import plot
from benchmarks.chaos.faults import FAULTS
from benchmarks.chaos.verdicts import NotMeasurableError, Verdict
from benchmarks.report import Section, Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.chaos.verdicts import Outcome

KEPT, BROKEN, NOT_MEASURED, NOTHING_MEASURED = 0, 1, 3, 4
PACKAGES = ("tornado", "uvloop", "httptools", "hiredis", "supervisor")


@dataclass(frozen=True, slots=True)
class Result:
    """What came of running one fault; `measured` is False where it could not be done here."""

    section: Section
    measured: bool


def run(name: str, *, is_long: bool, output: Path | None, retries_slow: bool = False) -> Result:
    """Run one fault.

    Args:
        name: one of `FAULTS`.
        is_long: whether in the long form.
        output: folder of pictures; None for none.
        retries_slow: whether it is done a second time where all that it broke was a time.
    """
    fault = FAULTS[name]
    begun = time.monotonic()
    try:
        outcome = fault.run(is_long)
        slow = [v for v in outcome.verdicts if not v.kept]
        if retries_slow and slow and all(verdict.is_time for verdict in slow):
            told = "; ".join(f"{verdict.promise}: {verdict.figure}" for verdict in slow)
            outcome = fault.run(is_long)
            outcome.notes.append(f"Done a second time: the first was too slow ({told}).")
    except NotMeasurableError as error:
        return Result(Section(name, fault.title, [f"Not measured: {error}."], [], None), False)  # noqa: FBT003
    except Exception as error:  # noqa: BLE001 - one fault must not hide what the others find
        broken = Verdict("the fault can be done and undone", f"{type(error).__name__}: {error}",
                         kept=False)  # fmt: skip
        return Result(_section(name, fault.title, [broken], [], None), True)  # noqa: FBT003
    notes = [*outcome.notes, _told(outcome, time.monotonic() - begun)]
    if output is not None and outcome.marks and outcome.record and outcome.record.requests:
        notes.append(plot.draw(fault.title, outcome.record, outcome.marks, output, name))
    return Result(_section(name, fault.title, outcome.verdicts, notes, _data(outcome)), True)  # noqa: FBT003


def code(results: Sequence[Result]) -> int:
    """The exit code: a broken promise weighs more than one that could not be measured."""
    if any(result.section.failures for result in results):
        return BROKEN
    if not any(result.measured for result in results):
        return NOTHING_MEASURED
    return KEPT if all(result.measured for result in results) else NOT_MEASURED


def _section(
    name: str, title: str, verdicts: list[Verdict], notes: list[str], data: object
) -> Section:
    rows = [(v.promise, v.figure, "kept" if v.kept else "BROKEN") for v in verdicts]
    failures = [f"{name}: {v.promise}: {v.figure}" for v in verdicts if not v.kept]
    table = Table(("promise", "measured", ""), rows, words=3)
    return Section(name, title, notes, [table], {"verdicts": verdicts, "figures": data}, failures)


def _told(outcome: Outcome, seconds: float) -> str:
    if outcome.record is None:
        return f"Took {seconds:.0f} s."
    found = outcome.record.summary()
    return (
        f"Took {seconds:.0f} s. Beside it {found.requests:,} requests at a fixed rate, "
        f"{found.failed} failed, {found.resent} sent again as RFC 9110 allows; latency p99 "
        f"{found.latency_p99_s * 1000:.0f} ms, {found.latency_max_s * 1000:.0f} ms at most, but "
        f"for {found.long:,} that take 2 s on purpose; the client itself was late by "
        f"{found.lateness_p99_s * 1000:.1f} ms (p99)."
    )


def _data(outcome: Outcome) -> dict[str, object]:
    summary = outcome.record.summary() if outcome.record is not None else None
    return {"requests": summary, "marks": outcome.marks, **outcome.data}
