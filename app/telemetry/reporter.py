"""What a process answers who asks how the service is: the board, and the metrics as text.

Any worker can answer: it reads what all processes have counted from the memory that they share, and
what the master says of itself. A board is written at most once a second, whoever asks, and shared.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from app.errors import StoreError
from app.telemetry import catalogue, exposition, history, processes
from app.telemetry.board import Board, Redis, Release, Route, Series, Traffic
from app.telemetry.totals import (
    FAILED,
    MASTER,
    REFUSED,
    Requests,
    Totals,
    add_up,
    quantile,
    requests_until,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from app.telemetry.board import Worker
    from app.telemetry.exposition import Sample
    from app.telemetry.memory import Part
    from app.telemetry.station import CrewSeen, Station
    from app.telemetry.totals import Labels

FRESH_S = 1.0
WINDOW_S = 10.0
_MOST_ROUTES = 50
_MEGABYTE = 1_000_000


class Reporter:
    """Writes boards and metrics.

    Args:
        station: of this process.
        environment: its name.
        release: that this process runs.
        ping: returns once Redis has answered; raises `StoreError`.
    """

    def __init__(
        self,
        station: Station,
        environment: str,
        release: Release,
        ping: Callable[[], Awaitable[None]],
    ) -> None:
        self._station = station
        self._environment = environment
        self._release = release
        self._ping = ping
        self._begun = time.time()
        self._written_at = -FRESH_S
        self._writing: asyncio.Future[bytes] | None = None
        self._document = b""

    def metrics(self) -> bytes:
        """All metrics, in the text that Prometheus reads."""
        parts = self._parts()
        return exposition.render(add_up(parts), self._read_now(parts))

    async def document(self) -> bytes:
        """The board as JSON, at most a second old."""
        if self._writing is not None:
            return await asyncio.shield(self._writing)
        if time.monotonic() - self._written_at < FRESH_S:
            return self._document
        self._writing = asyncio.ensure_future(self._write())
        try:
            return await asyncio.shield(self._writing)
        finally:
            self._writing = None

    async def _write(self) -> bytes:
        # Half a second too early beats one too late: who asks each second sees each second's.
        self._written_at = time.monotonic() - FRESH_S / 10
        self._document = msgspec.json.encode(await self.board())
        return self._document

    async def board(self) -> Board:
        """The board of this moment."""
        redis = await self._redis()
        now = time.time()
        crew = self._station.sources.crew()
        parts = self._parts()
        totals = add_up(parts)
        samples = [] if self._station.memory is None else self._samples()
        requests = requests_until(now, totals)
        _fill(redis, totals)
        since = crew.since if crew else self._begun
        return Board(
            at=now,
            environment=self._environment,
            since=since,
            uptime_s=round(now - since, 1),
            metrics=self._station.meter.counts,
            release=crew.release if crew else self._release,
            workers=_workers(crew, parts, totals) if crew else [],
            traffic=_traffic(requests, history.before(samples, now, WINDOW_S)),
            routes=_routes(totals),
            redis=redis,
            events=list(reversed(crew.events)) if crew else [],
            deployments=self._station.sources.deployments(),
            series=history.series(samples, now) if samples else Series(0.0, [], [], [], [], []),
            orphans=crew.orphans if crew else 0,
        )

    def _parts(self) -> list[Part]:
        memory = self._station.memory
        return [] if memory is None else memory.read()

    def _samples(self) -> list[Requests]:
        memory = self._station.memory
        return [] if memory is None else history.History(memory).samples()

    async def _redis(self) -> Redis:
        found = Redis("up", "", None, 0, 0, 0, 0, 0, 0)
        begun = time.perf_counter()
        try:
            await self._ping()
        except StoreError as error:
            found.state, found.reason = "away", str(error)
        else:
            found.ping_ms = round((time.perf_counter() - begun) * 1000, 3)
        return found

    def _read_now(self, parts: list[Part]) -> Iterator[Sample]:
        """What the kernel and the master tell."""
        crew = self._station.sources.crew()
        origins = [part.origin for part in parts if part.origin is not None]
        workers = [origin for origin in origins if origin.role != MASTER]
        retired = {w.pid for w in crew.workers if w.state in _RETIRED} if crew else set()
        serving = [origin for origin in workers if origin.pid not in retired]
        for build in sorted({(o.version, o.commit, o.release) for o in serving}):
            yield catalogue.BUILD_INFO, tuple(zip(_BUILD, build, strict=True)), 1.0
        names = {f"worker-{o.slot}": o.pid for o in sorted(workers, key=lambda o: o.started)}
        if crew is not None:
            names[MASTER] = crew.pid
            states = [worker.state for worker in crew.workers]
            for state in _STATES:
                labels = (("state", state),)
                yield catalogue.WORKERS, labels, float(states.count(state))
            yield catalogue.GENERATION, (), float(crew.release.generation)
            yield catalogue.MASTER_START, (), crew.since
        for name, pid in sorted(names.items()):
            yield from processes.samples(pid, name)
            if name != MASTER:
                yield from processes.samples_of_children(pid, f"{name}-children")


_BUILD = ("version", "commit", "release")
_STATES = ("starting", "ready", "stopping", "blocked", "standby", "waiting")
_RETIRED = {"stopping", "standby"}
"""Of workers that others have replaced."""


def _workers(crew: CrewSeen, parts: list[Part], totals: Totals) -> list[Worker]:
    """The workers as the master says, with what each has counted."""
    by_pid = {part.origin.pid: part for part in parts if part.origin is not None}
    youngest = {origin.slot: origin.pid for origin in totals.origins}
    worst, lasting = (
        totals.gauge(metric.name) for metric in (catalogue.LAG_WORST, catalogue.LAG_LASTING)
    )
    for worker in crew.workers:
        part = by_pid.get(worker.pid)
        if part is None or part.origin is None:
            continue
        worker.version, worker.commit = part.origin.version, part.origin.commit
        worker.requests = int(requests_until(0.0, add_up([part])).requests)
        size = processes.resident_bytes(worker.pid)
        worker.memory_mb = None if size is None else round(size / _MEGABYTE, 1)
        if youngest.get(worker.slot) == worker.pid:
            worker.lag_ms = _milliseconds(worst.get(worker.slot))
            worker.lag_lasting_ms = _milliseconds(lasting.get(worker.slot))
    return crew.workers


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)


def _traffic(now: Requests, before: Requests | None) -> Traffic:
    part = None if before is None else now.since(before)
    return Traffic(
        window_s=round(part.at, 1) if part else 0.0,
        requests_per_s=round(part.requests / part.at, 2) if part else 0.0,
        errors_per_s=round(part.errors / part.at, 3) if part else 0.0,
        p50_ms=history.quantile_ms(0.5, part),
        p99_ms=history.quantile_ms(0.99, part),
        requests=int(now.requests),
        errors=int(now.errors),
    )


def _routes(totals: Totals) -> list[Route]:
    """The routes by how often they were asked."""
    counted: Counter[tuple[str, str]] = Counter()
    errors: Counter[tuple[str, str]] = Counter()
    for labels, count in totals.requests().items():
        route = _route(labels)
        counted[route] += int(count)
        if FAILED in labels:
            errors[route] += int(count)
    buckets = {route: [0.0] * (len(catalogue.LATENCY_BOUNDS) + 1) for route in counted}
    for labels, found in totals.durations():
        route = _route(labels)
        buckets[route] = [a + b for a, b in zip(buckets[route], found, strict=True)]
    busiest = sorted(counted, key=lambda route: (-counted[route], route))[:_MOST_ROUTES]
    return [
        Route(*route, counted[route], errors[route],
              *(_ms(share, buckets[route], route[0]) for share in (0.5, 0.99)))
        for route in busiest
    ]  # fmt: skip


def _route(labels: Labels) -> tuple[str, str]:
    named = dict(labels)
    return named["route"], named["method"]


def _ms(share: float, buckets: list[float], route: str) -> float | None:
    found = None if route == REFUSED else quantile(share, catalogue.LATENCY_BOUNDS, buckets)
    return None if found is None else round(found * 1000, 3)


def _fill(redis: Redis, totals: Totals) -> None:
    """Add what the workers say of Redis."""

    def all_of(metric: catalogue.Metric) -> int:
        return int(sum(totals.gauge(metric.name).values()))

    redis.connections = all_of(catalogue.REDIS_CONNECTIONS)
    redis.connections_max = all_of(catalogue.REDIS_CONNECTIONS_MAX)
    redis.in_flight = all_of(catalogue.REDIS_IN_FLIGHT)
    redis.waiting = all_of(catalogue.REDIS_WAITING)
    redis.commands = int(sum(v[-1] for v in totals.of(catalogue.REDIS_BATCHES.name).values()))
    redis.errors = int(totals.sum_of(catalogue.REDIS_ERRORS.name))
