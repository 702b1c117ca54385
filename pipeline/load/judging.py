"""Whether the service levels were kept, for the terminal, as Markdown and as JSON.

A latency counts from when its request was meant to be sent, so a client that is late makes the
service look worse and never better. What is within the levels all the same is kept; what is missed
even by the time from when it was sent, less the client's own lateness, is missed. Between the two a
late client shows nothing.
"""

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
"""The 99th percentile of its lateness above which a client may be why a request timed out."""
LEAST_RATE = 0.95
"""Share of the rate that must have been reached for a kept level to be one of this rate."""


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
        least_ms: at least so much of it is the service's own, whatever the client did.
        late_ms: 99th percentile of how late the client was.
        rate: share of the intended rate at which requests were sent.
        missed: levels that were not kept, as sentences.
        invalid: why nothing is shown; empty when something is.
        kinds: the same for each kind of request.
        faults: what went wrong, and how often.
    """

    count: int
    availability: float
    p99_ms: float
    least_ms: float
    late_ms: float
    rate: float
    missed: list[str]
    invalid: str
    kinds: list[Kind]
    faults: dict[str, int]

    @property
    def word(self) -> str:
        """MISSED, INVALID or KEPT."""
        if self.missed:
            return "MISSED"
        return "INVALID" if self.invalid else "KEPT"


def judge(asked: Sequence[Asked], levels: Levels) -> Verdict:
    """Compare what came of requests with the levels."""
    failed = [one for one in asked if one.fault]
    late_ms = percentile([one.sample.lateness_s * 1000 for one in asked], 99)
    sure = [one for one in failed if not _is_doubtful(one, late_ms)]
    p99_ms = percentile([_latency_ms(one) for one in asked], 99)
    least_ms = percentile([_own_ms(one, late_ms) for one in asked], 99)
    missed = []
    if _share(len(sure), asked) < levels.availability:
        missed.append(
            f"availability {_share(len(failed), asked):.4%} is below {levels.availability:.2%}: "
            f"{len(failed)} of {len(asked)} requests failed"
        )
    if least_ms > levels.p99_ms:
        missed.append(f"p99 {_ms(p99_ms)} is above {_ms(levels.p99_ms)}")
    rate = _rate(asked)
    is_kept = _share(len(failed), asked) >= levels.availability and p99_ms <= levels.p99_ms
    invalid = ""
    if not missed and not (is_kept and rate >= LEAST_RATE):
        invalid = (
            f"the client itself was late by {_ms(late_ms)} and reached {rate:.0%} of the rate: "
            "run it on a quieter machine"
        )
    faults = Counter(f"{one.request.path}: {one.fault}" for one in failed)
    paths = dict.fromkeys(one.request.path for one in asked)
    kinds = [_kind([one for one in asked if one.request.path == path]) for path in paths]
    return Verdict(
        len(asked), _share(len(failed), asked), p99_ms, least_ms, late_ms, rate, missed, invalid,
        kinds, dict(faults),
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
    latencies = [_latency_ms(one) for one in asked]
    return Kind(
        asked[0].request.path, len(asked), sum(bool(one.fault) for one in asked),
        percentile(latencies, 50), percentile(latencies, 99),
    )  # fmt: skip


def _share(failed: int, asked: Sequence[Asked]) -> float:
    """The availability with so many failures."""
    return 1 - failed / len(asked)


def _latency_ms(one: Asked) -> float:
    """From the intended time; a request that failed was never answered."""
    return math.inf if one.fault else one.sample.latency_s * 1000


def _is_doubtful(one: Asked, late_ms: float) -> bool:
    """Whether a request may have failed by the client, which let its time run out."""
    return one.timed_out and late_ms > LATEST_MS


def _own_ms(one: Asked, late_ms: float) -> float:
    """The least that the service itself took: a late client is as late to read as to send."""
    if one.fault and not _is_doubtful(one, late_ms):
        return math.inf
    return max(0.0, (one.sample.answered - one.sample.sent) * 1000 - late_ms)


def _rate(asked: Sequence[Asked]) -> float:
    """The rate of what was sent, as a share of the intended one."""
    begun = asked[0].sample.intended
    intended_s = asked[-1].sample.intended - begun
    sent_s = max(one.sample.sent for one in asked) - begun
    return min(1.0, intended_s / sent_s) if sent_s > 0 else 1.0


def _ms(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:.0f} ms"
