"""The last hour: a ring of samples in the shared memory, written by the master."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from app.telemetry.board import Series
from app.telemetry.catalogue import LATENCY_BOUNDS
from app.telemetry.totals import Requests, quantile

if TYPE_CHECKING:
    from app.telemetry.memory import Memory

SAMPLE_S = 10.0
STEP_S = 30.0
SPAN_S = 3600.0
_WIDTH = 3 + len(LATENCY_BOUNDS) + 1
_ROWS = int(SPAN_S / SAMPLE_S) + 40
_FIRST_ROW = 1
_FORM = float(crc32(repr(LATENCY_BOUNDS).encode()))
"""Tells whose rows these are: they are as wide as there are buckets."""


class History:
    """The ring. One process writes, and any may read.

    Args:
        memory: that it is in.
    """

    def __init__(self, memory: Memory) -> None:
        self._cells = memory.history

    def append(self, sample: Requests) -> None:
        """Take one sample; only for the master."""
        if self._cells[-1] != _FORM:
            self._cells[0] = 0
            self._cells[-1] = _FORM
        count = int(self._cells[0])
        at = _FIRST_ROW + count % _ROWS * _WIDTH
        row = (sample.at, sample.requests, sample.errors, *sample.buckets)
        for index, value in enumerate(row):
            self._cells[at + index] = value
        # Last: who reads takes no row that is half written, but perhaps the oldest, which it drops.
        self._cells[0] = count + 1

    def samples(self) -> list[Requests]:
        """All samples, oldest first; none while they are those of a release with other buckets."""
        if self._cells[-1] != _FORM:
            return []
        count = int(self._cells[0])
        found = []
        for number in range(max(0, count - _ROWS + 1), count):
            at = _FIRST_ROW + number % _ROWS * _WIDTH
            row = self._cells[at : at + _WIDTH].tolist()
            found.append(Requests(row[0], row[1], row[2], tuple(row[3:])))
        return found


def before(samples: list[Requests], at: float, age_s: float) -> Requests | None:
    """The youngest sample that is at least so old."""
    old = [sample for sample in samples if sample.at <= at - age_s]
    return old[-1] if old else None


def series(samples: list[Requests], at: float) -> Series:
    """The last hour up to `at`, in steps; a step in which there was no sample has no figures."""
    steps = int(SPAN_S / STEP_S)
    last = int(at // STEP_S)
    by_step = {int(sample.at // STEP_S): sample for sample in samples}
    found = Series(STEP_S, [], [], [], [], [])
    for step in range(last - steps, last):
        now, was = by_step.get(step), by_step.get(step - 1)
        part = now.since(was) if now and was else None
        found.time.append((step + 1) * STEP_S)
        found.requests_per_s.append(_rounded(part.requests / part.at) if part else None)
        found.errors_per_s.append(_rounded(part.errors / part.at) if part else None)
        found.p50_ms.append(quantile_ms(0.5, part))
        found.p99_ms.append(quantile_ms(0.99, part))
    return found


def quantile_ms(share: float, requests: Requests | None) -> float | None:
    """A quantile of the durations of requests, in milliseconds."""
    if requests is None:
        return None
    found = quantile(share, LATENCY_BOUNDS, requests.buckets)
    return None if found is None else round(found * 1000, 3)


def _rounded(value: float) -> float:
    return round(value, 3)
