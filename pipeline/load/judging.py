"""Whether the service levels were kept, for the terminal, as Markdown and as JSON."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.load.profile import Levels
    from pipeline.load.sending import Asked

LATEST_MS = 100.0
"""How late the client itself may be, at its 99th percentile: above it, it measures itself."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What came of one kind of request; latencies in milliseconds, infinite where one failed."""

    path: str
    count: int
    failed: int
    median_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a load test.

    Attributes:
        count: requests that are judged.
        availability: share that was answered as expected.
        p99_ms: 99th percentile of latency over all.
        late_ms: 99th percentile of how late the client was.
        missed: levels that were not kept, as sentences.
        invalid: why nothing is shown; empty when something is.
        kinds: the same for each kind of request.
        faults: what went wrong, and how often.
    """

    count: int
    availability: float
    p99_ms: float
    late_ms: float
    missed: list[str]
    invalid: str
    kinds: list[Kind]
    faults: dict[str, int]

    @property
    def word(self) -> str:
        """KEPT, MISSED or INVALID."""
        if self.invalid:
            return "INVALID"
        return "MISSED" if self.missed else "KEPT"


def judge(asked: Sequence[Asked], levels: Levels) -> Verdict:
    """Compare what came of requests with the levels."""
    failed = [one for one in asked if one.fault]
    availability = 1 - len(failed) / len(asked)
    p99_ms = percentile(_latencies(asked), 99)
    late_ms = percentile([one.sample.lateness_s * 1000 for one in asked], 99)
    missed = []
    if availability < levels.availability:
        missed.append(
            f"availability {availability:.4%} is below {levels.availability:.2%}: "
            f"{len(failed)} of {len(asked)} requests failed"
        )
    if p99_ms > levels.p99_ms:
        missed.append(f"p99 {_ms(p99_ms)} is above {_ms(levels.p99_ms)}")
    invalid = ""
    if late_ms > LATEST_MS:
        invalid = f"the client itself was late by {_ms(late_ms)}: run it on a quieter machine"
    faults = Counter(f"{one.request.path}: {one.fault}" for one in failed)
    paths = dict.fromkeys(one.request.path for one in asked)
    kinds = [_kind([one for one in asked if one.request.path == path]) for path in paths]
    return Verdict(
        len(asked), availability, p99_ms, late_ms, missed, invalid, kinds, dict(faults)
    )  # fmt: skip


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least so many per cent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def markdown(verdict: Verdict, url: str, profile: str, levels: Levels) -> str:
    """The verdict for people."""
    lines = [
        f"# Load test: {verdict.word}",
        "",
        f"{verdict.count} requests to {url}, profile `{profile}`.",
        "",
        "| level | asked | found |",
        "|---|---:|---:|",
        f"| availability | {levels.availability:.2%} | {verdict.availability:.4%} |",
        f"| p99 | {_ms(levels.p99_ms)} | {_ms(verdict.p99_ms)} |",
        "",
        *(f"**{sentence}**" for sentence in (*verdict.missed, verdict.invalid) if sentence),
        "",
        "| request | count | failed | median | p99 |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| `{one.path}` | {one.count} | {one.failed} | {_ms(one.median_ms)} | "
            f"{_ms(one.p99_ms)} |"
            for one in verdict.kinds
        ),
        *(["", "| fault | times |", "|---|---:|"] if verdict.faults else []),
        *(f"| {fault} | {times} |" for fault, times in verdict.faults.items()),
    ]
    return "\n".join(lines) + "\n"


def json(verdict: Verdict, url: str, profile: str, levels: Levels) -> bytes:
    """The verdict for programs; what is infinite is null."""
    found = {"verdict": verdict.word, "url": url, "profile": profile, "levels": levels}
    text = msgspec.json.encode(found | asdict(verdict))  # it writes what is infinite as null
    return msgspec.json.format(text) + b"\n"


def _kind(asked: Sequence[Asked]) -> Kind:
    latencies = _latencies(asked)
    return Kind(
        asked[0].request.path, len(asked), sum(bool(one.fault) for one in asked),
        percentile(latencies, 50), percentile(latencies, 99),
    )  # fmt: skip


def _latencies(asked: Sequence[Asked]) -> list[float]:
    """In milliseconds; a request that failed was never answered."""
    return [math.inf if one.fault else one.sample.latency_s * 1000 for one in asked]


def _ms(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:.0f} ms"
