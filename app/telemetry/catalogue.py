"""Every metric that there is: its name, kind, labels and meaning, all in one place.

Names and units are by the conventions of Prometheus: base units (seconds, bytes), `_total` at the
end of what only grows. Labels have few values each: a route is its template, never the address that
was asked, and a status is its class.
"""

from __future__ import annotations

from dataclasses import dataclass

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"

LATENCY_BOUNDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0,
)  # fmt: skip
"""Seconds: a page takes 1 to 3 ms, a fixed answer 50 us, and a client waits 10 s at most."""
LAG_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
SOLVE_BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 30.0)
BATCH_BOUNDS = tuple(float(2**power - 1) for power in range(1, 16))
"""The store counts batches of 1, 2-3, 4-7, ... commands; the last of its 16 kinds has no end."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        kind: counter, gauge or histogram.
        meaning: a sentence for `# HELP`.
        labels: names of its labels.
        bounds: upper bounds of a histogram's buckets, but for the last.
        per_worker: whether each worker has its own, told apart by the label `worker`; else what
            the workers have is added up.
    """

    name: str
    kind: str
    meaning: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    per_worker: bool = False


REQUEST_DURATION = Metric(
    "windlass_http_request_duration_seconds",
    HISTOGRAM,
    "Time from a request's head to its answer; of a stream, to its first part",
    ("method", "route", "status"),
    LATENCY_BOUNDS,
)
REQUESTS = Metric(
    "windlass_http_requests_total",
    COUNTER,
    "Requests answered, by the route's template and the class of the status",
    ("method", "route", "status"),
)
LAG = Metric(
    "windlass_event_loop_lag_seconds",
    HISTOGRAM,
    "How late the event loop of a worker ran a timer",
    bounds=LAG_BOUNDS,
)
LAG_WORST = Metric(
    "windlass_event_loop_lag_max_seconds",
    GAUGE,
    "The latest that a timer was run within the last second",
    per_worker=True,
)
LAG_LASTING_S = 5
LAG_LASTING = Metric(
    "windlass_event_loop_lag_lasting_seconds",
    GAUGE,
    f"The least of the latest of each of the last {LAG_LASTING_S} seconds: lateness that lasts",
    per_worker=True,
)
CONNECTIONS = Metric(
    "windlass_http_connections", GAUGE, "Connections of clients that are open", per_worker=True
)
STREAMS = Metric("windlass_http_streams", GAUGE, "Streams of events that are open", per_worker=True)
REDIS_UP = Metric(
    "windlass_redis_up", GAUGE,
    "1 where Redis answered when it was last asked, which each worker does every 5 s",
    per_worker=True,
)  # fmt: skip
REDIS_CONNECTIONS = Metric(
    "windlass_redis_connections", GAUGE, "Connections to Redis that are open", per_worker=True
)
REDIS_CONNECTIONS_MAX = Metric(
    "windlass_redis_connections_max", GAUGE, "Connections to Redis that may be open",
    per_worker=True,
)  # fmt: skip
REDIS_IN_FLIGHT = Metric(
    "windlass_redis_commands_in_flight", GAUGE, "Commands sent that have no reply yet",
    per_worker=True,
)  # fmt: skip
REDIS_WAITING = Metric(
    "windlass_redis_commands_waiting", GAUGE, "Commands that wait for a connection",
    per_worker=True,
)  # fmt: skip
REDIS_BATCHES = Metric(
    "windlass_redis_batch_commands",
    HISTOGRAM,
    "Commands that travelled to Redis in one write, PING not among them",
    bounds=BATCH_BOUNDS,
)
REDIS_CONNECTED = Metric(
    "windlass_redis_connects_total", COUNTER, "Connections to Redis that were made"
)
REDIS_DISCARDED = Metric(
    "windlass_redis_replies_discarded_total", COUNTER, "Replies whose caller had left"
)
REDIS_ERRORS = Metric(
    "windlass_redis_errors_total",
    COUNTER,
    "What failed: timed_out (sent, no reply in time), not_sent, connect (an attempt at a "
    "connection), lost (a connection), breaker (calls began to fail at once)",
    ("kind",),
)
SOLVE_DURATION = Metric(
    "windlass_dispatch_solve_duration_seconds",
    HISTOGRAM,
    "Time to find and prove a production plan, by where: the event loop or a process of its own",
    ("where",),
    SOLVE_BOUNDS,
)
WORKER_STARTS = Metric("windlass_worker_starts_total", COUNTER, "Workers that were forked")
WORKER_ENDS = Metric(
    "windlass_worker_ends_total",
    COUNTER,
    "Workers that ended: stopped (asked to), killed, exited, blocked (the event loop stood still), "
    "late (not ready in time)",
    ("reason",),
)
RECYCLED = Metric(
    "windlass_workers_recycled_total", COUNTER, "Workers replaced for their age, work or memory"
)
UPGRADES = Metric(
    "windlass_upgrades_total",
    COUNTER,
    "Upgrades of the master: succeeded, failed or back (to the release before)",
    ("result",),
)
LOST_SERIES = Metric(
    "windlass_metrics_lost_total", COUNTER, "Series for which the shared memory had no room"
)

KEPT = (
    REQUEST_DURATION, LAG, LAG_WORST, LAG_LASTING, CONNECTIONS, STREAMS, REDIS_UP,
    REDIS_CONNECTIONS, REDIS_CONNECTIONS_MAX, REDIS_IN_FLIGHT, REDIS_WAITING, REDIS_BATCHES,
    REDIS_CONNECTED, REDIS_DISCARDED, REDIS_ERRORS, SOLVE_DURATION, WORKER_STARTS, WORKER_ENDS,
    RECYCLED, UPGRADES, LOST_SERIES,
)  # fmt: skip
"""What processes write into the shared memory."""

BUILD_INFO = Metric(
    "windlass_build_info", GAUGE, "1 for each release that a worker serves",
    ("version", "commit", "release"),
)  # fmt: skip
WORKERS = Metric("windlass_workers", GAUGE, "Worker processes, by their state", ("state",))
GENERATION = Metric(
    "windlass_master_generation", GAUGE, "How often the master has loaded its code, from 1"
)
MASTER_START = Metric(
    "windlass_master_start_time_seconds", GAUGE,
    "When the master came up first, in seconds since the epoch",
)  # fmt: skip
_OF_PROCESS = ("process",)
PROCESS_CPU = Metric(
    "process_cpu_seconds_total", COUNTER, "User and system CPU time spent", _OF_PROCESS
)
PROCESS_RESIDENT = Metric(
    "process_resident_memory_bytes", GAUGE, "Resident memory size", _OF_PROCESS
)
PROCESS_VIRTUAL = Metric("process_virtual_memory_bytes", GAUGE, "Virtual memory size", _OF_PROCESS)
PROCESS_START = Metric(
    "process_start_time_seconds", GAUGE, "Start time, in seconds since the epoch", _OF_PROCESS
)
PROCESS_FDS = Metric("process_open_fds", GAUGE, "Open file descriptors", _OF_PROCESS)
PROCESS_MAX_FDS = Metric(
    "process_max_fds", GAUGE, "Most file descriptors that may be open", _OF_PROCESS
)
READ_AT_SCRAPE = (
    BUILD_INFO, WORKERS, GENERATION, MASTER_START, PROCESS_CPU, PROCESS_RESIDENT, PROCESS_VIRTUAL,
    PROCESS_START, PROCESS_FDS, PROCESS_MAX_FDS,
)  # fmt: skip
"""What is found out when somebody asks."""

METRICS = {metric.name: metric for metric in (REQUESTS, *KEPT, *READ_AT_SCRAPE)}
