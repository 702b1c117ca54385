"""The status board: what runs, is it well, what changed. One document, shown by all who show it.

`GET /status/data` answers it, `GET /status/events` sends it about once a second, the page /status
and `windlass top` show it. It holds no secret, and names no client.

Times are seconds since the epoch (wall clock), durations say their unit. A figure that is not known
(nothing was served, an older release does not tell it) is null or empty, never a guess. Members may
be added; what is here keeps its name and its meaning.
"""

from __future__ import annotations

import msgspec


class Release(msgspec.Struct):
    """What the master runs.

    Attributes:
        name: of the release, such as 1.2.0-3f9ac21, or "checkout".
        version: of the package.
        commit: full SHA-1, or "Development".
        generation: how often the master has loaded its code, from 1.
        reload: how the last reload went: empty, "checking", "under way", "succeeded",
            "failed: WHY" or "went back to RELEASE: WHY".
    """

    name: str
    version: str
    commit: str
    generation: int
    reload: str


class Worker(msgspec.Struct):
    """One worker process, or a slot that waits for its next start.

    Attributes:
        slot: number of the worker from 0; two processes share one while the new replaces the old.
        state: starting, ready, stopping, blocked, standby, or waiting (no process).
        pid: 0 where there is no process.
        since: when it was forked; null where there is no process.
        release: name of what it runs; empty where there is no process.
        version: of what it runs; empty where it does not tell.
        commit: of what it runs; empty where it does not tell.
        restarts: how often a worker of this slot ended unasked since the stack came up.
        last_exit: how the last of those ended, for people; empty: none did.
        requests: that this process has answered.
        lag_ms: how late its event loop ran a timer, the worst of the last second; null: unknown.
        lag_lasting_ms: the least of that in the last five seconds; null: unknown.
        memory_mb: resident memory, 10^6 bytes; null: unknown.
    """

    slot: int
    state: str
    pid: int
    since: float | None
    uptime_s: float
    release: str
    version: str
    commit: str
    restarts: int
    last_exit: str
    requests: int | None = None
    lag_ms: float | None = None
    lag_lasting_ms: float | None = None
    memory_mb: float | None = None


class Traffic(msgspec.Struct):
    """Requests just now, over all workers.

    Attributes:
        window_s: seconds, up to now, that the rates and quantiles are of; 0: none was measured.
        requests_per_s: answered, whatever the status.
        errors_per_s: answered with a status of 500 or more.
        p50_ms: half were answered within; null: there were none.
        p99_ms: 99 of 100 were answered within; null: there were none.
        requests: all of them since counting began, workers that are gone included.
        errors: of those, answered with a status of 500 or more.
    """

    window_s: float
    requests_per_s: float
    errors_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    requests: int
    errors: int


class Route(msgspec.Struct):
    """Requests of one route since counting began, over all workers.

    Attributes:
        route: its template, such as /calculator/{operation}; "(unmatched)" for addresses that
            nobody answers, "(refused)" for what was no HTTP or too large.
        method: GET, POST and so on; OTHER where it is none of the customary ones.
        errors: answered with a status of 500 or more.
        p50_ms: half were answered within; null: unknown.
        p99_ms: 99 of 100 were answered within; null: unknown.
    """

    route: str
    method: str
    requests: int
    errors: int
    p50_ms: float | None
    p99_ms: float | None


class Redis(msgspec.Struct):
    """Redis, as the workers meet it.

    Attributes:
        state: "up", or "away": the worker that wrote this got no answer.
        reason: why it is away, for people; empty where it is up.
        ping_ms: how long it took to answer the last PING; null: it did not.
        connections: open now, over all workers.
        connections_max: that may be open, over all workers.
        in_flight: commands sent and not answered, over all workers.
        waiting: commands that wait for a connection, over all workers.
        commands: sent since counting began.
        errors: commands that got no answer in time or were never sent, and failed connections.
    """

    state: str
    reason: str
    ping_ms: float | None
    connections: int
    connections_max: int
    in_flight: int
    waiting: int
    commands: int
    errors: int


class Event(msgspec.Struct):
    """Something that happened to the workers; newest first in the board.

    Attributes:
        at: when.
        kind: "started", "reloaded", "reload failed", "went back", "worker died",
            "master died", "recycled".
        detail: for people, such as "worker 1 (pid 4711) killed by SIGKILL".
        release: that the master ran.
    """

    at: float
    kind: str
    detail: str
    release: str


class Deployment(msgspec.Struct):
    """An entry of this host's audit log of releases; newest first in the board.

    Attributes:
        at: ISO 8601 in UTC.
        action: switch, confirm, back, lock, unlock, maintenance and the like.
        by: who.
        release: name of the release that it went to; its store path where that has no name.
        origin: the same, of where it came from.
        reason: why; empty: none was given.
        result: how it went; empty: well, or not over.
    """

    at: str
    action: str
    by: str
    release: str
    origin: str
    reason: str
    result: str


class Series(msgspec.Struct):
    """The last hour, oldest first: columns of equal length, for a plot.

    Attributes:
        step_s: seconds that a point stands for.
        time: end of each step.
        requests_per_s: null where nothing was measured in that step (as of all columns below).
        errors_per_s: answered with a status of 500 or more.
        p50_ms: null also where nothing was answered.
        p99_ms: likewise.
    """

    step_s: float
    time: list[float]
    requests_per_s: list[float | None]
    errors_per_s: list[float | None]
    p50_ms: list[float | None]
    p99_ms: list[float | None]


class Board(msgspec.Struct):
    """All of it.

    Attributes:
        at: when this was written.
        environment: DEV, STAGING, PROD and the like.
        since: when the master came up first; its reloads do not change it.
        metrics: whether requests are counted (setting METRICS); if not, figures are null or 0.
        workers: by slot, the process that replaces another after it.
        routes: the busiest first.
        deployments: empty where the host keeps no record of releases.
        orphans: workers of a killed master that serve until those of this one are proven.
    """

    at: float
    environment: str
    since: float
    uptime_s: float
    metrics: bool
    release: Release
    workers: list[Worker]
    traffic: Traffic
    routes: list[Route]
    redis: Redis
    events: list[Event]
    deployments: list[Deployment]
    series: Series
    orphans: int = 0
