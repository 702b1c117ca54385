"""Every request of a run by its number: when it was meant to be sent, and what came of it.

Times are seconds of the kernel's monotonic clock, which all processes of a machine share; so what
was done to a server, and when, can be laid beside what its clients saw.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from benchmarks.chaos.load import LONG_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

OK = 200


class Request(msgspec.Struct, frozen=True, array_like=True):
    """One request and its outcome.

    Attributes:
        number: counts up in the order in which requests were meant to be sent.
        kind: name of a `load.Kind`.
        idempotent: whether sending it twice does what sending it once does.
        kept: whether it was to go over a connection that had carried another.
        intended: when it was meant to be sent.
        sent: when its first byte was.
        ended: when its whole answer was there, or it was known that none comes.
        status: of the answer; 0 where there is none.
        trouble: what is wrong with the outcome, for people; empty for a good answer.
        resent: whether it was sent a second time, since a kept connection had been closed before
            a byte of the answer; allowed for idempotent requests (RFC 9110, section 9.2.2).
        slot: the worker whose own socket was asked; -1 through Nginx.
        visits: the counter on the page, -1 on any other answer.
    """

    number: int
    kind: str
    idempotent: bool
    kept: bool
    intended: float
    sent: float
    ended: float
    status: int
    trouble: str = ""
    resent: bool = False
    slot: int = -1
    visits: int = -1

    @property
    def failed(self) -> bool:
        """Whether it has no good answer."""
        return bool(self.trouble)

    def was_under_way(self, at: float, margin_s: float = 0.0) -> bool:
        """Whether it had been sent and not answered at a time."""
        return self.sent - margin_s <= at <= self.ended + margin_s


@dataclass(frozen=True, slots=True)
class Summary:
    """A record in figures.

    Attributes:
        failures: how often each trouble happened, by kind of request.
        latency_p99_s: from the intended time to the end of the good answers, but for those of
            requests that take `LONG_S` on purpose.
        lateness_p99_s: how late the client itself was; a client that is late measures itself.
    """

    requests: int
    kept: int
    long: int
    not_idempotent: int
    resent: int
    failed: int
    failures: dict[str, int]
    latency_p99_s: float
    latency_max_s: float
    lateness_p99_s: float


@dataclass(frozen=True, slots=True)
class Record:
    """All requests of one run of the client."""

    requests: list[Request]

    @property
    def failed(self) -> list[Request]:
        """Those without a good answer."""
        return [request for request in self.requests if request.failed]

    def where(self, holds: Callable[[Request], bool]) -> Record:
        """The requests for which something holds."""
        return Record([request for request in self.requests if holds(request)])

    def between(self, begin: float, end: float) -> Record:
        """The requests that were sent at these times."""
        return self.where(lambda request: begin <= request.sent < end)

    def under_way(self, at: float) -> list[Request]:
        """Those that were sent and had no answer at a time."""
        return [request for request in self.requests if request.was_under_way(at)]

    def latencies_s(self) -> list[float]:
        """From the intended time to the end of each answer, good or not."""
        return [request.ended - request.intended for request in self.requests]

    def summary(self) -> Summary:
        """The record in figures."""
        good = [
            r.ended - r.intended for r in self.requests if not r.failed and r.kind not in LONG_KINDS
        ]
        troubles = Counter(f"{r.kind}: {r.trouble}" for r in self.failed)
        return Summary(
            requests=len(self.requests),
            kept=sum(r.kept for r in self.requests),
            long=sum(r.kind in LONG_KINDS for r in self.requests),
            not_idempotent=sum(not r.idempotent for r in self.requests),
            resent=sum(r.resent for r in self.requests),
            failed=len(self.failed),
            failures=dict(troubles.most_common()),
            latency_p99_s=percentile(good, 99),
            latency_max_s=max(good, default=0.0),
            lateness_p99_s=percentile((r.sent - r.intended for r in self.requests), 99),
        )


def percentile(values: Iterable[float], percent: float) -> float:
    """A percentile, 0 of nothing."""
    found = list(values)
    return float(np.percentile(found, percent)) if found else 0.0
