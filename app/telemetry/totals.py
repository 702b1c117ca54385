"""What all processes have counted, put together, and the quantiles of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.telemetry import catalogue
from app.telemetry.catalogue import GAUGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from app.telemetry.memory import Key, Origin, Part

Labels = tuple[tuple[str, str], ...]

MASTER, WORKER = "master", "worker"
REFUSED = "(refused)"
"""Stands for the route of what never came to one: it was no HTTP, or too large."""
FAILED = ("status", "5xx")


@dataclass(slots=True)
class Totals:
    """What was counted.

    Attributes:
        sums: counters and histograms, added up over all processes, the dead among them.
        gauges: of each process that lives, by slot of the worker.
        origins: the processes that live; of two in one slot the younger is the later.
    """

    sums: dict[Key, list[float]] = field(default_factory=dict)
    gauges: dict[tuple[Key, int], float] = field(default_factory=dict)
    origins: list[Origin] = field(default_factory=list)

    def of(self, name: str) -> dict[Key, list[float]]:
        """The sums of one metric."""
        return {key: values for key, values in self.sums.items() if key.name == name}

    def sum_of(self, name: str) -> float:
        """A counter over all its labels."""
        return sum(values[0] for values in self.of(name).values())

    def requests(self) -> dict[Labels, float]:
        """How many requests there were of each kind, whichever release has counted them."""
        found: dict[Labels, float] = {}
        for key, values in self.of(catalogue.REQUEST_DURATION.name).items():
            found[key.labels] = found.get(key.labels, 0.0) + sum(values[:-1])
        return found

    def durations(self) -> Iterator[tuple[Labels, list[float]]]:
        """The buckets of each kind of requests, but for those of a release that had others."""
        for key, values in self.of(catalogue.REQUEST_DURATION.name).items():
            if key.bounds == catalogue.LATENCY_BOUNDS:
                yield key.labels, values[:-1]

    def gauge(self, name: str) -> dict[int, float]:
        """A gauge without labels, by slot of the worker."""
        return {slot: value for (key, slot), value in self.gauges.items() if key.name == name}


def add_up(parts: Iterable[Part]) -> Totals:
    """Put together what all processes have counted."""
    found = Totals()
    ordered = sorted(parts, key=lambda part: part.origin.started if part.origin else 0.0)
    for part in ordered:
        if part.origin is not None:
            found.origins.append(part.origin)
        for key, values in part.values.items():
            if key.kind == GAUGE:
                slot = part.origin.slot if part.origin else -1
                found.gauges[key, slot] = values[0]  # of two in one slot the younger's counts
            elif key in found.sums:
                found.sums[key] = [a + b for a, b in zip(found.sums[key], values, strict=True)]
            else:
                found.sums[key] = values
    return found


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests until some moment.

    Attributes:
        buckets: how many took how long; see `catalogue.LATENCY_BOUNDS`.
    """

    at: float
    requests: float
    errors: float
    buckets: tuple[float, ...]

    def since(self, before: Requests) -> Requests | None:
        """Those after an earlier moment; None where counting began anew in between."""
        if self.requests < before.requests or self.at <= before.at:
            return None
        return Requests(
            self.at - before.at,
            self.requests - before.requests,
            max(0.0, self.errors - before.errors),
            tuple(
                max(0.0, now - was) for now, was in zip(self.buckets, before.buckets, strict=True)
            ),
        )


def requests_until(at: float, totals: Totals) -> Requests:
    """All requests, whatever their route and method."""
    counts = totals.requests()
    errors = sum(count for labels, count in counts.items() if FAILED in labels)
    buckets = [0.0] * (len(catalogue.LATENCY_BOUNDS) + 1)
    for labels, found in totals.durations():
        if ("route", REFUSED) not in labels:  # nobody has measured how long that took
            buckets = [a + b for a, b in zip(buckets, found, strict=True)]
    return Requests(at, sum(counts.values()), errors, tuple(buckets))


def quantile(share: float, bounds: Sequence[float], buckets: Sequence[float]) -> float | None:
    """The value that a share of all observations is not above, as Prometheus reckons it.

    Args:
        share: from 0 to 1.
        bounds: upper bounds of the buckets but for the last.
        buckets: how many observations are in each.

    Returns:
        Interpolated within its bucket; the highest bound where it lies beyond; None without any
        observation.
    """
    rank = share * sum(buckets)
    if not rank:
        return None
    seen, low = 0.0, 0.0
    for bound, count in zip(bounds, buckets, strict=False):
        if count and seen + count >= rank:
            return low + (bound - low) * (rank - seen) / count
        seen, low = seen + count, bound
    return bounds[-1]
