"""The status board in words: what runs, is it well, what changed.

Owns every word and figure that the page /status shows of a board; the verdict above them is that of
`app.telemetry.verdict`. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from app.telemetry.verdict import verdict_of
from app.web.charts import Mark, plot

if TYPE_CHECKING:
    from app.telemetry.board import Board, Worker
    from app.web.charts import Plot

_UNKNOWN = "\N{EN DASH}"
_STATES = {
    "ready": "ok", "starting": "warn", "stopping": "", "standby": "", "blocked": "bad",
    "waiting": "bad",
}  # fmt: skip
_EVENTS = {
    "worker died": "bad", "master died": "bad", "reload failed": "bad", "went back": "bad",
    "reloaded": "ok", "started": "ok",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in one place of the page.

    Attributes:
        text: for people.
        tone: ok, warn or bad, for the colour; empty: none. It never says what the text does not.
    """

    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """A board in words.

    Attributes:
        verdict: the state of all in one sentence, and its tone.
        reasons: why it is not well; empty where it is.
        cells: each single figure by its name.
        rows: for each table, its rows.
    """

    verdict: Cell
    reasons: list[str]
    cells: dict[str, Cell]
    rows: dict[str, list[list[Cell]]]


def view_of(board: Board) -> View:
    """Put a board into words."""
    found = verdict_of(board)
    return View(Cell(found.text, found.tone), found.reasons, _cells(board), _rows(board))


def plots_of(board: Board) -> dict[str, Plot | None]:
    """The plots of the last hour."""
    series = board.series
    marks = [
        Mark(event.at, _EVENTS.get(event.kind, ""), f"{clock(event.at)} {event.kind}")
        for event in board.events
    ]
    marks.sort(key=lambda mark: mark.tone == "bad")  # nothing of the same moment covers a failure
    return {
        "requests": plot(series.time, [series.requests_per_s, series.errors_per_s], marks),
        "durations": plot(series.time, [series.p50_ms, series.p99_ms], marks),
    }


def _cells(board: Board) -> dict[str, Cell]:
    traffic, redis, release = board.traffic, board.redis, board.release
    is_up = redis.state == "up"
    return {
        "requests_per_s": Cell(_number(traffic.requests_per_s)),
        "errors_per_s": Cell(_number(traffic.errors_per_s), "bad" if traffic.errors_per_s else ""),
        "p50_ms": Cell(_ms(traffic.p50_ms)),
        "p99_ms": Cell(_ms(traffic.p99_ms)),
        "uptime": Cell(duration(board.uptime_s)),
        "redis": Cell("up" if is_up else "away", "ok" if is_up else "bad"),
        "at": Cell(clock(board.at)),
        "release": Cell(release.name),
        "commit": Cell(release.commit[:12]),
        "generation": Cell(str(release.generation)),
        "reload": Cell(release.reload or "none yet"),
        "since": Cell(moment(board.since)),
        "requests": Cell(f"{traffic.requests:,}"),
        "errors": Cell(f"{traffic.errors:,}"),
        "ping_ms": Cell(_ms(redis.ping_ms)),
        "connections": Cell(f"{redis.connections} of {redis.connections_max}"),
        "in_flight": Cell(f"{redis.in_flight:,}"),
        "waiting": Cell(f"{redis.waiting:,}"),
        "commands": Cell(f"{redis.commands:,}"),
        "redis_errors": Cell(f"{redis.errors:,}"),
    }


def _rows(board: Board) -> dict[str, list[list[Cell]]]:
    return {
        "workers": [_worker_row(worker) for worker in board.workers],
        "routes": [
            [
                Cell(f"{route.method} {route.route}"),
                Cell(f"{route.requests:,}"),
                Cell(f"{route.errors:,}", "bad" if route.errors else ""),
                Cell(_ms(route.p50_ms)),
                Cell(_ms(route.p99_ms)),
            ]
            for route in board.routes
        ],
        "events": [
            [
                Cell(moment(event.at)),
                Cell(event.kind, _EVENTS.get(event.kind, "")),
                Cell(event.detail),
                Cell(event.release),
            ]
            for event in board.events
        ],
        "deployments": [
            [
                Cell(_moment_of_text(entry.at)),
                Cell(entry.action, "warn" if entry.action == "back" else ""),
                Cell(entry.release),
                Cell(entry.origin),
                Cell(entry.by),
                Cell("; ".join(filter(None, (entry.reason, entry.result)))),
            ]
            for entry in board.deployments
        ],
    }


def _worker_row(worker: Worker) -> list[Cell]:
    is_there = worker.since is not None
    exits = f"{worker.restarts}: last {worker.last_exit}" if worker.last_exit else ""
    return [
        Cell(str(worker.slot)),
        Cell(worker.state, _STATES.get(worker.state, "")),
        Cell(str(worker.pid) if worker.pid else _UNKNOWN),
        Cell(duration(worker.uptime_s) if is_there else _UNKNOWN),
        Cell(worker.release or _UNKNOWN),
        Cell(worker.commit[:7] or _UNKNOWN),
        Cell(exits or str(worker.restarts), "warn" if worker.restarts else ""),
        Cell(_UNKNOWN if worker.requests is None else f"{worker.requests:,}"),
        Cell(_ms(worker.lag_ms)),
        Cell(_UNKNOWN if worker.memory_mb is None else f"{worker.memory_mb:,.0f} MB"),
    ]


def duration(seconds: float) -> str:
    """A length of time, to about a tenth: `3 d 4 h`, `9 min 5 s`, `15 min`."""
    rest = int(seconds)
    parts = []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        parts.append((count, unit))
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    shown = parts[:1] if parts[0][0] >= 10 else parts[:2]
    return " ".join(f"{count} {unit}" for count, unit in shown)


def moment(at: float) -> str:
    """A point in time, as the logs write it but for its fraction: `2025-11-21 17:20:01`."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def clock(at: float) -> str:
    """The time of day in UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}"


def _moment_of_text(text: str) -> str:
    try:
        return moment(datetime.fromisoformat(text).timestamp())
    except ValueError:
        return text


def _number(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _ms(value: float | None) -> str:
    if value is None:
        return _UNKNOWN
    return f"{value:,.2f} ms" if value < 10 else f"{value:,.0f} ms"
