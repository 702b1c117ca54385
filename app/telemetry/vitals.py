"""How a worker is: its event loop's lag, its connections, its store. Shown once a second.

Redis is asked every few seconds whether it is there, so that one that is away is seen before its
first user finds it, and in a worker that has no traffic too.

What a worker counts elsewhere (the store's own counters) is copied here into the shared memory; a
worker that is killed loses of those what it had not copied: at most a second's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol

from app.errors import StoreError
from app.telemetry import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.telemetry.meter import Meter

TICK_S = 0.1
_TICKS_A_LOOK = 10
_LOOKS_A_PING = 5


class StoreCounters(Protocol):
    """What a store counts; see `app.store.counters`."""

    commands: int
    batch_sizes: list[int]
    connected: int
    connects_failed: int
    connections_lost: int
    discarded: int
    timed_out: int
    not_sent: int
    breaker_opened: int


class Store(Protocol):
    """What is asked of the way to Redis."""

    @property
    def is_away(self) -> bool:
        """Whether calls fail at once."""

    @property
    def open_connections(self) -> int:
        """How many connections stand."""

    @property
    def most_connections(self) -> int:
        """How many may stand."""

    @property
    def in_flight(self) -> int:
        """Commands sent that have no reply yet."""

    @property
    def waiting(self) -> int:
        """Commands that wait to be sent."""

    def counters(self) -> StoreCounters:
        """What it has counted."""

    async def ping(self) -> None:
        """Return once Redis has answered; raises `StoreError`, in time."""


class Vitals:
    """Shows how a worker is, for as long as its event loop turns.

    Args:
        meter: where it is shown.
        store: the worker's.
        connections: tells how many clients are connected.
    """

    def __init__(self, meter: Meter, store: Store, connections: Callable[[], int]) -> None:
        self._meter = meter
        self._store = store
        self._connections = connections
        self._observe_lag = meter.observer(catalogue.LAG)
        self._timer: asyncio.TimerHandle | None = None
        self._due = self._worst_s = 0.0
        self._worst_of_looks: deque[float] = deque(maxlen=catalogue.LAG_LASTING_S)
        self._next_look = self._next_ping = 0.0
        self._redis_answers = True
        self._asking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; needs the running event loop."""
        if self._meter.counts:
            self.show()
            now = asyncio.get_running_loop().time()
            self._next_look = now + _look_every_s()
            self._next_ping = now + _LOOKS_A_PING * _look_every_s()
            self._wait()

    def stop(self) -> None:
        """End, and show the last."""
        if self._timer is not None:
            self._timer.cancel()
            self.show()

    def show(self) -> None:
        """Show how it is now."""
        put, store = self._meter.put, self._store
        put(catalogue.LAG_WORST, self._worst_s)
        self._worst_s = 0.0
        if len(self._worst_of_looks) == catalogue.LAG_LASTING_S:
            put(catalogue.LAG_LASTING, min(self._worst_of_looks))
        put(catalogue.CONNECTIONS, self._connections())
        put(catalogue.REDIS_UP, self._redis_answers and not store.is_away)
        put(catalogue.REDIS_CONNECTIONS, store.open_connections)
        put(catalogue.REDIS_CONNECTIONS_MAX, store.most_connections)
        put(catalogue.REDIS_IN_FLIGHT, store.in_flight)
        put(catalogue.REDIS_WAITING, store.waiting)
        counted = store.counters()
        put(catalogue.REDIS_CONNECTED, counted.connected)
        put(catalogue.REDIS_DISCARDED, counted.discarded)
        batches: Sequence[float] = [*counted.batch_sizes, counted.commands]
        self._meter.put_all(catalogue.REDIS_BATCHES, batches)
        for kind, value in (
            ("timed_out", counted.timed_out),
            ("not_sent", counted.not_sent),
            ("connect", counted.connects_failed),
            ("lost", counted.connections_lost),
            ("breaker", counted.breaker_opened),
        ):
            put(catalogue.REDIS_ERRORS, value, kind)

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + TICK_S
        self._timer = loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        now = asyncio.get_running_loop().time()
        late_s = max(0.0, now - self._due)
        self._observe_lag(late_s)
        self._worst_s = max(self._worst_s, late_s)
        if now >= self._next_look:
            self._look(now)
        if now >= self._next_ping:
            self._next_ping = now + _LOOKS_A_PING * _look_every_s()
            self._ask()
        self._wait()

    def _look(self, now: float) -> None:
        """Show how it is; a lag that took several looks counts as that of each."""
        passed = 1 + int((now - self._next_look) / _look_every_s())
        self._worst_of_looks.extend([self._worst_s] * min(passed, catalogue.LAG_LASTING_S))
        self._next_look = now + _look_every_s()
        self.show()

    def _ask(self) -> None:
        """Have Redis asked, one question at a time; while it is away the store itself asks."""
        if self._asking is None and not self._store.is_away:
            self._asking = asyncio.get_running_loop().create_task(self._ping())

    async def _ping(self) -> None:
        try:
            await self._store.ping()
            self._redis_answers = True
        except StoreError:
            self._redis_answers = False
        finally:
            self._asking = None


def _look_every_s() -> float:
    return _TICKS_A_LOOK * TICK_S
