"""Promises, each with what was measured and whether it was kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.chaos.plot import Mark
    from benchmarks.chaos.record import Record


class NotMeasurableError(Exception):
    """This machine lacks what a fault needs; the message names it.

    Nothing else is this: what ought to work and does not is a broken promise.
    """


@dataclass(frozen=True, slots=True)
class Verdict:
    """One promise.

    Attributes:
        promise: what was promised, for people.
        figure: what was measured.
        kept: whether the promise was kept.
        is_time: whether it is about how long something took, which depends on what else the
            machine does.
    """

    promise: str
    figure: str
    kept: bool
    is_time: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one fault.

    Attributes:
        verdicts: at least one.
        record: of the client beside it, whose figures are reported.
        data: more figures, by name.
        marks: what happened when, for the picture; empty: none is drawn.
        notes: sentences on what was not done, and why.
    """

    verdicts: list[Verdict]
    record: Record | None = None
    data: dict[str, object] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def none_failed(record: Record, least: int = 100) -> list[Verdict]:
    """No request has failed, and there were so many that this says something."""
    summary = record.summary()
    worst = "; ".join(f"{count} x {what}" for what, count in list(summary.failures.items())[:4])
    return [
        Verdict("no request fails", f"{summary.failed} of {summary.requests:,} failed"
                + (f": {worst}" if worst else ""), kept=not summary.failed),
        Verdict(f"at least {least:,} requests, half on kept connections, some 2 s long, some POST",
                f"{summary.requests:,}: {summary.kept:,} kept, {summary.long:,} long, "
                f"{summary.not_idempotent:,} POST",
                kept=summary.requests >= least and min(summary.long, summary.kept,
                                                       summary.not_idempotent) > 0),
    ]  # fmt: skip


def some_failed(record: Record, what: str) -> Verdict:
    """The negative control: requests have failed, so the client sees failures."""
    summary = record.summary()
    return Verdict(f"control: {what} fails requests, and the client sees it",
                   f"{summary.failed} of {summary.requests:,} failed",
                   kept=summary.failed > 0)  # fmt: skip


def within(promise: str, times_s: Iterable[float], limit_s: float) -> Verdict:
    """Every one of some times is within a limit; of no time at all nothing is promised kept."""
    found = sorted(times_s)
    if not found:
        return Verdict(promise, "never seen", kept=False)
    figure = f"median {median(found):.2f} s, longest {found[-1]:.2f} s of {len(found)}"
    return Verdict(promise, figure, kept=found[-1] <= limit_s, is_time=True)
