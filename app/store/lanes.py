"""The connections to Redis, and which one a command takes.

Commands wait in one queue until the end of the event loop's turn and then leave in batches, each in
one write on the connection that has the least in flight. A connection that keeps its callers
waiting gets no more of them, and another is made, up to a bound. Guarantees:

- Whatever waits in the queue was never sent. It fails as certainly not executed, and nothing that
  was sent is ever sent again.
- Behind a slow command wait at most the commands of two batches; all later ones take another way.
- The queue is bounded, every call ends within the timeout, and while the breaker is open calls fail
  at once: one attempt at a time, in the background, finds out when Redis is back. Where nobody
  listens an attempt costs no time, and then calls make one themselves, together: the first call
  after the return of Redis succeeds, in each worker.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from app import log
from app.store.counters import Counters
from app.store.outcome import connecting_failed, not_executed
from app.store.pipeline import Pipeline, pack

if TYPE_CHECKING:
    from app.store.breaker import Breaker
    from app.store.connecting import Connector
    from app.store.pipeline import Call

_WARM = 2
_PATIENCE = 10
_CLOSE_TIMEOUT_S = 1.0
_PING = pack("PING")


class Lanes:
    """All connections of a worker.

    Nothing is connected before the first call, which also settles the event loop that is used.

    Args:
        connector: makes connections.
        breaker: counts failures.
        timeout_s: seconds after which a reply counts as none, the wait in the queue included.
        connections: the most connections held.
        queue: the most calls that wait to be sent; those beyond it fail at once.
        batch: the most commands in one write. A connection with as many in flight gets no more.
    """

    def __init__(
        self,
        connector: Connector,
        breaker: Breaker,
        *,
        timeout_s: float,
        connections: int,
        queue: int,
        batch: int,
    ) -> None:
        self._connector = connector
        self._breaker = breaker
        self._timeout_s = timeout_s
        self._patience_s = timeout_s / _PATIENCE
        self._most = connections
        self._limit = queue
        self._batch = batch
        self._queue: deque[Call] = deque()
        self._lanes: list[Pipeline] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flushing = False
        self._pings_wait = False
        self._deadline = 0.0
        self._paused_until = 0.0
        self._fails_at_once = False
        self._connecting: asyncio.Task[None] | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._probe: asyncio.TimerHandle | None = None
        self._closed = False
        self.counters = Counters()

    @property
    def open_connections(self) -> int:
        """How many connections stand."""
        return len(self._lanes)

    @property
    def most_connections(self) -> int:
        """How many connections may stand."""
        return self._most

    @property
    def in_flight(self) -> int:
        """Commands sent that have no reply yet."""
        return sum(lane.in_flight for lane in self._lanes)

    @property
    def waiting(self) -> int:
        """Commands that wait to be sent."""
        return len(self._queue)

    def call(self, command: bytes) -> asyncio.Future[object]:
        """Send a packed command at the end of this turn; an error reply is a result too.

        Raises:
            NotExecutedError: the queue is full, Redis is away, or the store is closed. The future
                raises it as well, and `UnknownOutcomeError`.
        """
        queue = self._queue
        if len(queue) >= self._limit or self._breaker.failures or self._closed:
            self._admit()
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        if not self._flushing:
            self._flushing = True
            self._deadline = loop.time() + self._timeout_s
            loop.call_soon(self._flush)
        future: asyncio.Future[object] = loop.create_future()
        queue.append((command, future, self._deadline))
        return future

    def ping(self) -> asyncio.Future[object]:
        """As `call`, of a PING; it is nobody's work and not among the commands that are counted."""
        future = self.call(_PING)
        self._pings_wait = True
        return future

    async def close(self) -> None:
        """End every connection; what waits fails, and so does every later call."""
        self._closed = True
        for timer in (self._probe, self._sweeper):
            if timer is not None:
                timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        self._fail_queue("The store was closed")
        lanes, self._lanes = self._lanes, []
        for lane in lanes:
            lane.end("The store was closed")
        if lanes:
            await asyncio.wait([lane.gone for lane in lanes], timeout=_CLOSE_TIMEOUT_S)

    # ---- what pipelines report

    def replied(self, discarded: int) -> None:
        """Take replies for a sign of life."""
        if discarded:
            self.counters.discarded += discarded
        if self._breaker.failures:
            self._succeed()
        if self._queue:
            self._flush_soon()

    def timed_out(self, calls: int) -> None:
        """Count calls that got no reply in time; what one pause of Redis delays is one failure."""
        self.counters.timed_out += calls
        now = self._running().time()
        if now < self._paused_until:
            return
        self._paused_until = now + self._timeout_s / 2
        self._fails_at_once = False
        self._fail(f"Redis gave no answer within {self._timeout_s * 1000:.0f} ms")

    def writable(self) -> None:
        """Send what waited for it."""
        if self._queue:
            self._flush_soon()

    def lost(self, pipeline: Pipeline, reason: str) -> None:
        """Forget a connection."""
        if pipeline in self._lanes:
            self._lanes.remove(pipeline)
            self.counters.connections_lost += 1
            log.get().info("connection to redis lost", reason=reason, left=len(self._lanes))
            if self._queue:
                self._flush_soon()

    # ---- the queue

    def _admit(self) -> None:
        if self._closed:
            reason = "The store was closed"
        elif len(self._queue) >= self._limit:
            reason = f"{len(self._queue)} commands wait for Redis already"
        elif self._breaker.is_open and not self._fails_at_once:
            reason = f"{self._breaker.reason}; it is tried again in a moment"
        else:
            return
        self.counters.not_sent += 1
        raise not_executed(reason)

    def _flush_soon(self) -> None:
        if not self._flushing:
            loop = self._running()
            self._flushing = True
            self._deadline = loop.time() + self._timeout_s
            loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Send what waits; runs at the end of a turn."""
        self._flushing = False
        queue = self._queue
        while queue:
            lane = self._choose()
            if lane is None:
                break
            calls: list[Call] = []
            while queue and len(calls) < self._batch:
                call = queue.popleft()
                if not call[1].done():  # a caller who has left already need not be sent
                    calls.append(call)
            if calls:
                self._count(calls)
                lane.send(calls)
        if not queue:
            self._pings_wait = False
        elif self._sweeper is None:
            self._sweeper = self._running().call_at(queue[0][2], self._sweep)

    def _count(self, calls: list[Call]) -> None:
        size = len(calls)
        if self._pings_wait:
            size -= sum(call[0] is _PING for call in calls)
        if size:
            self.counters.count_batch(size)

    def _choose(self) -> Pipeline | None:
        """The connection with the least in flight, or None when none may take a batch now.

        Where even the least loaded is at work, another connection is made for what comes next: one
        to spare from the first, more once those there are full or wait too long.
        """
        now = self._running().time()
        best: Pipeline | None = None
        for lane in self._lanes:
            if not lane.in_flight and lane.is_usable:
                return lane
            if (
                lane.is_usable
                and lane.in_flight < self._batch
                and lane.waiting_s(now) < self._patience_s
                and (best is None or lane.in_flight < best.in_flight)
            ):
                best = lane
        if best is None or len(self._lanes) < _WARM:
            self._grow()
        return best

    def _sweep(self) -> None:
        """Fail what has waited in the queue for too long."""
        self._sweeper = None
        now = self._running().time()
        while self._queue and self._queue[0][2] <= now:
            self._refuse(self._queue.popleft(), "No connection to Redis was free in time")
        if self._queue:
            self._sweeper = self._running().call_at(self._queue[0][2], self._sweep)

    def _fail_queue(self, reason: str) -> None:
        while self._queue:
            self._refuse(self._queue.popleft(), reason)

    def _refuse(self, call: Call, reason: str) -> None:
        if not call[1].done():
            self.counters.not_sent += 1
            call[1].set_exception(not_executed(reason))

    # ---- connections

    def _grow(self) -> None:
        """Make one more connection, one at a time and never more than are allowed."""
        if self._connecting is None and len(self._lanes) < self._most and not self._closed:
            self._connecting = self._running().create_task(self._connect())

    async def _connect(self) -> None:
        begun = self._running().time()
        try:
            lane = await self._connector.connect(self._make_pipeline)
        except Exception as error:  # noqa: BLE001 - whatever it is, callers are waiting to hear
            self._connecting = None
            self.counters.connects_failed += 1
            took_s = self._running().time() - begun
            self._fails_at_once = isinstance(error, OSError) and took_s < self._patience_s
            self._fail(connecting_failed(error))
            if self._queue:  # the breaker is still closed: somebody has time for another attempt
                self._grow()
            return
        self._connecting = None
        lane.has_joined = True
        self._lanes.append(lane)
        self.counters.connected += 1
        self._succeed()
        if self._queue:
            self._flush_soon()

    def _make_pipeline(self) -> Pipeline:
        return Pipeline(self, timeout_s=self._timeout_s)

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    # ---- the breaker

    def _succeed(self) -> None:
        if self._breaker.succeed():
            log.get().info("redis is back")
        if self._probe is not None:
            self._probe.cancel()
            self._probe = None

    def _fail(self, reason: str) -> None:
        if self._breaker.fail(reason):
            self.counters.breaker_opened += 1
            log.get().warning("redis is away", reason=reason)
        if not self._breaker.is_open or self._closed:
            return
        self._fail_queue(reason)
        if self._probe is None:
            self._probe = self._running().call_later(self._breaker.next_pause_s(), self._try_again)

    def _try_again(self) -> None:
        """Make one attempt; what comes of it makes the next one or closes the breaker."""
        self._probe = None
        if self._connecting is None and len(self._lanes) >= self._most:
            # All that may be open is open and says nothing; the worst makes room.
            now = self._running().time()
            max(self._lanes, key=lambda lane: lane.waiting_s(now)).end("Redis was silent too long")
        self._grow()
