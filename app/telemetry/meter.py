"""How a process counts: straight into the memory that it shares, with no lock and no copy.

A count is one addition to a number in memory: nothing has to be flushed, and a process that is
killed has lost nothing of what it had counted. A process has one meter, as it has one log; only its
main thread counts.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from app.telemetry import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.telemetry.catalogue import Metric
    from app.telemetry.memory import Region

_CUSTOMARY = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Meter:
    """The metrics of one process.

    Args:
        region: where it counts; None: nowhere, and everything here does nothing.
    """

    def __init__(self, region: Region | None) -> None:
        self._region = region
        self._without_room: set[tuple[str, ...]] = set()
        self._lost: memoryview[float] | list[float] = [0.0]
        self._lost = self.cells(catalogue.LOST_SERIES)
        self._observers: dict[tuple[str, str, int], Callable[[float], None]] = {}

    @property
    def counts(self) -> bool:
        """Whether anything is counted."""
        return self._region is not None

    def cells(self, metric: Metric, *labels: str) -> memoryview[float] | list[float]:
        """The numbers of a metric with the values of its labels; those of nobody without room."""
        found = None if self._region is None else self._region.metric(metric, labels)
        if found is None:
            self._lose((metric.name, *labels))
            return [0.0] * (len(metric.bounds) + 2)
        return found

    def _lose(self, series: tuple[str, ...]) -> None:
        if series not in self._without_room:
            self._without_room.add(series)
            self._lost[0] += 1

    def add(self, metric: Metric, *labels: str, amount: float = 1.0) -> None:
        """Add to a counter."""
        self.cells(metric, *labels)[0] += amount

    def put(self, metric: Metric, value: float, *labels: str) -> None:
        """Set a gauge, or a counter whose sum is kept elsewhere."""
        self.cells(metric, *labels)[0] = value

    def put_all(self, metric: Metric, values: Sequence[float], *labels: str) -> None:
        """Set a histogram that is kept elsewhere: its buckets, then the sum."""
        cells = self.cells(metric, *labels)
        for index, value in enumerate(values):
            cells[index] = value

    def observer(self, metric: Metric, *labels: str) -> Callable[[float], None]:
        """What takes each value of a histogram."""
        cells = self.cells(metric, *labels)
        bounds, last = metric.bounds, len(metric.bounds) + 1

        def observe(value: float) -> None:
            cells[bisect_left(bounds, value)] += 1.0
            cells[last] += value

        return observe if self.counts else _forget

    def of_requests(self, method: str, route: str, status: int) -> Callable[[float], None]:
        """What takes the duration of each request of one kind, in seconds.

        Args:
            method: as the client sent it; any that is not customary counts as OTHER.
            route: the route's template.
            status: of the answer; its class is what counts.
        """
        key = method, route, status // 100
        found = self._observers.get(key)
        if found is None:
            word = method if method in _CUSTOMARY else "OTHER"
            found = self.observer(catalogue.REQUEST_DURATION, word, route, f"{status // 100}xx")
            if method in _CUSTOMARY:  # nobody may fill the memory with methods of his own
                self._observers[key] = found
        return found


def _forget(_value: float) -> None:
    """Count nothing."""


NOBODY = Meter(None)
