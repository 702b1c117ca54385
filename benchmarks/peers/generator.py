"""The load: one kind of request over kept-alive connections, from a process of its own.

Two forms. Closed loop: every connection sends its next request when it has its answer, which finds
out how much a server can do. Open loop: requests are sent at a fixed rate whatever the server does,
each at a time that was intended for it, and its latency counts from then; so a server that stalls
is seen by every request that falls into the stall (coordinated omission).

The process reads a `Load` from standard input and writes an `Outcome` to standard output. It keeps
to its CPU and collects no garbage while it measures.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections import Counter, deque
from itertools import cycle, islice

import msgspec
import uvloop

from benchmarks.peers.pacing import ticks
from benchmarks.peers.wire import Connection, connect

LAST_ANSWERS_S = 10.0
"""How long answers are waited for after the last request."""
_RETRY_S = 0.05


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent, and how.

    Attributes:
        addresses: HOST:PORT or unix:PATH of each socket of the server; connections take turns.
        request: its bytes.
        connections: how many are kept open.
        seconds: for how long answers are counted.
        warm_up_s: seconds before that in which they are not.
        rate_hz: requests per second of an open loop; None for a closed one.
        cpu: to keep to; None for any.
    """

    addresses: list[str]
    request: bytes
    connections: int
    seconds: float
    warm_up_s: float = 0.0
    rate_hz: float | None = None
    cpu: int | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a load.

    Attributes:
        answered: good answers (2xx) in the time that counts.
        seconds: how long that was.
        total: good answers, those of the warm-up and of the end included.
        errors: how often each kind of error happened.
        latencies_s: of an open loop: from the intended time to the end of each good answer.
        lateness_s: of an open loop: how late each of those requests was sent.
    """

    answered: int
    seconds: float
    total: int
    errors: dict[str, int]
    latencies_s: list[float]
    lateness_s: list[float]

    @property
    def per_second(self) -> float:
        """Good answers per second."""
        return self.answered / self.seconds


async def generate(load: Load) -> Outcome:
    """Send a load from this process's event loop."""
    driver = driver_of(load)
    await driver.open()
    try:
        return await driver.run()
    finally:
        driver.close()


def driver_of(load: Load) -> Driver:
    """What sends a load; it has no connections yet."""
    return _Closed(load) if load.rate_hz is None else _Open(load, load.rate_hz)


class Driver:
    """What both forms share: the connections, and the account of good and bad answers.

    A load may be sent again over the same connections, which are idle between two runs.
    """

    def __init__(self, load: Load) -> None:
        self.load = load
        self.total = 0
        self.under_way = 0
        self.errors: Counter[str] = Counter()
        self.idle: deque[Connection] = deque()
        self._connections: set[Connection] = set()
        self._none_under_way = asyncio.Event()
        self._reopening: set[asyncio.Task[None]] = set()
        self._ended = False

    async def open(self) -> None:
        """Open every connection."""
        addresses = islice(cycle(self.load.addresses), self.load.connections)
        await asyncio.gather(*(self._open_one(address, last_try=True) for address in addresses))

    async def run(self) -> Outcome:
        """Send the load, and wait for its last answers."""
        raise NotImplementedError

    def close(self) -> None:
        """Close every connection."""
        self._ended = True
        for task in self._reopening:
            task.cancel()
        for connection in tuple(self._connections):
            connection.close()

    async def last_answers(self) -> None:
        """Wait for what is under way; what does not come is an error."""
        self._none_under_way.clear()
        if self.under_way:
            try:
                await asyncio.wait_for(self._none_under_way.wait(), LAST_ANSWERS_S)
            except TimeoutError:
                self.errors["no answer"] += self.under_way

    # ---- what a connection calls

    def opened(self, connection: Connection) -> None:
        """It can be sent on."""
        self._connections.add(connection)
        self.ready(connection)

    def answered(self, connection: Connection, status: int) -> None:
        """The answer to its request is there."""
        self._settled()
        if 200 <= status <= 299:
            self.total += 1
            self.good(connection)
        else:
            self.errors[f"status {status}"] += 1
        if not connection.closing:
            self.ready(connection)

    def lost(self, connection: Connection, reason: str) -> None:
        """It is closed, and another is opened in its place."""
        self._connections.discard(connection)
        self.gone(connection)
        if connection.waiting:
            self._settled()
        if reason:
            self.errors[reason] += 1
        if not self._ended:
            task = asyncio.get_running_loop().create_task(self._open_one(connection.address))
            self._reopening.add(task)
            task.add_done_callback(self._reopening.discard)

    # ---- what the two forms do with it

    def ready(self, connection: Connection) -> None:
        """A connection can take a request."""
        raise NotImplementedError

    def good(self, connection: Connection) -> None:
        """Its answer was good."""

    def gone(self, connection: Connection) -> None:
        """It is closed."""
        if connection in self.idle:
            self.idle.remove(connection)

    def _settled(self) -> None:
        self.under_way -= 1
        if not self.under_way:
            self._none_under_way.set()

    async def _open_one(self, address: str, *, last_try: bool = False) -> None:
        while not self._ended:
            try:
                return await connect(lambda: Connection(self, address), address)
            except OSError:
                self.errors["no connection"] += 1
                if last_try:
                    return None
                await asyncio.sleep(_RETRY_S)
        return None


class _Closed(Driver):
    """The next request when the last one is answered."""

    _running = False

    async def run(self) -> Outcome:
        at_first = self.total
        self._running = True
        for _ in range(len(self.idle)):
            self.ready(self.idle.popleft())
        await asyncio.sleep(self.load.warm_up_s)
        before, begun = self.total, time.monotonic()
        await asyncio.sleep(self.load.seconds)
        answered, seconds = self.total - before, time.monotonic() - begun
        self._running = False
        await self.last_answers()
        return Outcome(answered=answered, seconds=seconds, total=self.total - at_first,
                       errors=dict(self.errors), latencies_s=[], lateness_s=[])  # fmt: skip

    def ready(self, connection: Connection) -> None:
        if self._running:
            self.under_way += 1
            connection.send(self.load.request)
        else:
            self.idle.append(connection)


class _Open(Driver):
    """Each request at its own time; where every connection is busy, as soon as one is not."""

    def __init__(self, load: Load, rate_hz: float) -> None:
        super().__init__(load)
        self._rate_hz = rate_hz
        self._begun = 0.0
        self._issued = 0
        self._last = round(rate_hz * (load.warm_up_s + load.seconds))
        self._all_issued = asyncio.Event()
        self._overdue: deque[float] = deque()
        self._latencies_s: list[float] = []
        self._lateness_s: list[float] = []

    async def run(self) -> Outcome:
        at_first = self.total
        self._issued, self._latencies_s, self._lateness_s = 0, [], []
        self._all_issued.clear()
        self._begun = time.monotonic()
        end_s = self._last / self._rate_hz + LAST_ANSWERS_S
        with ticks(1 / self._rate_hz, self._tick):
            try:
                await asyncio.wait_for(self._all_issued.wait(), end_s)
            except TimeoutError:
                self.errors["never sent"] += self._last - self._issued
        await self.last_answers()
        return Outcome(
            answered=len(self._latencies_s),
            seconds=self.load.seconds,
            total=self.total - at_first,
            errors=dict(self.errors),
            latencies_s=self._latencies_s,
            lateness_s=self._lateness_s,
        )

    def _tick(self) -> None:
        due = min(self._last, int((time.monotonic() - self._begun) * self._rate_hz) + 1)
        while self._issued < due:
            intended = self._begun + self._issued / self._rate_hz
            self._issued += 1
            self.under_way += 1
            if self.idle:
                self._send_at(self.idle.popleft(), intended)
            else:
                self._overdue.append(intended)
        if self._issued == self._last:
            self._all_issued.set()

    def _send_at(self, connection: Connection, intended: float) -> None:
        connection.intended = intended
        connection.sent = time.monotonic()
        connection.send(self.load.request)

    def ready(self, connection: Connection) -> None:
        if self._overdue:
            self._send_at(connection, self._overdue.popleft())
        else:
            self.idle.append(connection)

    def good(self, connection: Connection) -> None:
        if connection.intended >= self._begun + self.load.warm_up_s:
            self._latencies_s.append(time.monotonic() - connection.intended)
            self._lateness_s.append(connection.sent - connection.intended)


def main() -> None:
    """Send the load that standard input describes."""
    load = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Load)
    if load.cpu is not None:
        os.sched_setaffinity(0, {load.cpu})
    gc.disable()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcome = runner.run(generate(load))
    sys.stdout.buffer.write(msgspec.msgpack.encode(outcome))


if __name__ == "__main__":
    main()
