"""`windlass top`: the status board in a terminal."""

from __future__ import annotations

import contextlib
import math
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from app.errors import StackError
from app.stack import watching
from app.telemetry.verdict import has_failed, verdict_of
from app.terminal import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, Group
    from rich.table import Table
    from rich.text import Text

    from app.stack.layout import Layout
    from app.telemetry.board import Board, Worker

_BARS = "▁▂▃▄▅▆▇█"
_GAP = " "
_SPARK_WIDTH = 60
_BEFORE_THE_BARS = 33
"""Columns of the names and figures before the bars, gaps included."""
_MOST_ROUTES = 10
_MOST_CHANGES = 8
_FEWEST = 2
_LINES_OF_THE_REST = 14
"""Head, verdict, traffic (5), Redis, and of three tables the gap before each and the titles."""
_MOST_REASONS = 3
_TONES = {"ok": "green", "warn": "yellow", "bad": "red"}
_COMMIT_DIGITS = 7
_GIVE_WAY = ("last exit", "what", "details", "route")


@click.command("top")
@click.option("--once", is_flag=True, help="Show the board once and end.")
@click.option("--json", "as_json", is_flag=True, help="Print the board once, as JSON for scripts.")
@click.option(
    "--every", "every_s", default=1.0, show_default=True, type=click.FloatRange(0.2, 3600),
    metavar="SECONDS", help="How often the board is shown anew.",
)  # fmt: skip
@click.pass_obj
def command(context: Any, *, once: bool, as_json: bool, every_s: float) -> None:  # noqa: ANN401 - `app.cli.Context`, which imports this
    """Show how the service is, second by second, until Ctrl-C: workers, requests, Redis, changes.

    The same as /status. It asks a worker itself, so it needs no token, and shows how things are
    where Nginx is the trouble.
    """
    layout = context.layout()
    board = watching.read_board(layout)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(board)).decode())
        return
    from rich.console import Console  # noqa: PLC0415 - only what shows something waits for it
    from rich.live import Live  # noqa: PLC0415

    console = Console(highlight=False)
    if once:
        console.print(render(board))
        return
    with (
        contextlib.suppress(KeyboardInterrupt),
        Live(
            render(board, _size(console)),
            console=console,
            screen=console.is_terminal,
            auto_refresh=False,
        ) as live,
    ):
        while True:
            time.sleep(every_s)
            live.update(_now(layout, _size(console)), refresh=True)


def _size(console: Console) -> tuple[int, int | None]:
    return console.width, console.height if console.is_terminal else None


def _now(layout: Layout, size: tuple[int, int | None]) -> Group | str:
    """The board of this moment; where there is none, why."""
    try:
        return render(watching.read_board(layout), size)
    except StackError as error:
        return str(error)


def render(board: Board, size: tuple[int, int | None] = (80, None)) -> Group:
    """The board as text for a terminal of so many columns and lines; None: as many as it takes.

    Whether it is well, what runs and what changed comes first; the routes have the lines that are
    left.
    """
    from rich.console import Group  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    width, height = size
    release = board.release
    head = Text.assemble(
        (f"{board.environment} ", "bold"),
        f"release {release.name}, up {duration(board.uptime_s)}, {clock(board.at)}",
    )
    top: list[Any] = [head, *_verdict(board)]
    if release.reload and not has_failed(release.reload):
        top.append(_shortened(f"last reload: {release.reload}"))
    left = _MOST_CHANGES + _MOST_ROUTES
    if height is not None:
        # Of what `top` has, head and verdict are counted already.
        left = height - _LINES_OF_THE_REST - (len(top) - 2) - len(board.workers)
    happened = len(board.events) + len(board.deployments)
    changes = min(_MOST_CHANGES, happened, max(_FEWEST, left - _FEWEST))
    routes = min(_MOST_ROUTES, max(_FEWEST, left - changes))
    parts = [*top, _traffic(board, width), _redis(board), Text(), _workers(board)]
    if changes:
        parts += [Text(), _changes(board, changes)]
    return Group(*parts, Text(), _routes(board, routes))


def _verdict(board: Board) -> list[Text]:
    """Is it well; where it is not, why not, a line for each reason."""
    found = verdict_of(board)
    lines = [found.text, *(f"  {reason}" for reason in found.reasons[:_MOST_REASONS])]
    if len(found.reasons) > _MOST_REASONS:
        lines[-1] += f" (and {len(found.reasons) - _MOST_REASONS} more)"
    return [_shortened(line, _TONES[found.tone]) for line in lines]


def _traffic(board: Board, width: int) -> Table:
    from rich.table import Table  # noqa: PLC0415

    now, series = board.traffic, board.series
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", min_width=8)
    table.add_column("now", justify="right", min_width=11)
    table.add_column("most", justify="right", min_width=11)
    table.add_column("the last hour", no_wrap=True)
    rows = (
        ("requests", _a_second, now.requests_per_s, series.requests_per_s),
        ("errors", _a_second, now.errors_per_s, series.errors_per_s),
        ("p50", milliseconds, now.p50_ms, series.p50_ms),
        ("p99", milliseconds, now.p99_ms, series.p99_ms),
    )
    for name, words, value, column in rows:
        style = "red" if name == "errors" and now.errors_per_s else ""
        most = max((v for v in column if v is not None), default=None)
        bars = spark(column, width - _BEFORE_THE_BARS)
        table.add_row(name, words(value), words(most), bars, style=style)
    return table


def _redis(board: Board) -> Table:
    from rich.table import Table  # noqa: PLC0415

    redis = board.redis
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(min_width=8)
    table.add_column()
    what = f"{redis.state}, ping {milliseconds(redis.ping_ms)}" if redis.state == "up" else (
        f"{redis.state}: {redis.reason}")  # fmt: skip
    table.add_row(
        "redis",
        _shortened(
            f"{what}; {redis.connections}/{redis.connections_max} connections, {redis.in_flight} "
            f"in flight, {redis.waiting} waiting, {redis.errors} errors"
        ),
        style="" if redis.state == "up" else "red",
    )
    return table


def _workers(board: Board) -> Table:
    table = _table("worker", "state", "pid>", "up>", "requests>", "lag ms>", "MB>",
                   "restarts>", "runs", "last exit")  # fmt: skip
    for worker in board.workers:
        table.add_row(
            str(worker.slot), worker.state, str(worker.pid or ""), duration(worker.uptime_s),
            "" if worker.requests is None else f"{worker.requests:,}",
            "-" if worker.lag_ms is None else f"{worker.lag_ms:,.1f}",
            "" if worker.memory_mb is None else f"{worker.memory_mb:,.0f}",
            str(worker.restarts), _runs(worker, board), _shortened(worker.last_exit),
            style="" if worker.state == "ready" else "yellow",
        )  # fmt: skip
    return table


def _runs(worker: Worker, board: Board) -> str:
    """The commit of a worker; its release where that is not the one in the head."""
    if worker.release == board.release.name:
        return worker.commit[:_COMMIT_DIGITS]
    return worker.release


def _routes(board: Board, most: int) -> Table:
    table = _table("route", "method", "requests>", "errors>", "p50>", "p99>")
    for route in board.routes[:most]:
        table.add_row(
            _shortened(route.route), route.method, f"{route.requests:,}", f"{route.errors:,}",
            milliseconds(route.p50_ms), milliseconds(route.p99_ms),
        )  # fmt: skip
    return table


def _changes(board: Board, most: int) -> Table:
    """What has happened to the workers and, where there is a record, to the host."""
    table = _table("when", "what", "details", "release")
    found = [(event.at, event.kind, event.detail, event.release) for event in board.events]
    found += [
        (
            datetime.fromisoformat(entry.at).timestamp(),
            f"{entry.action} by {entry.by}",
            "; ".join(filter(None, (entry.reason, entry.result))),
            entry.release,
        )
        for entry in board.deployments
    ]
    found.sort(key=lambda row: row[0], reverse=True)
    for at, what, details, release in found[:most]:
        table.add_row(clock(at), _shortened(what), _shortened(details), release)
    return table


def _table(*titles: str) -> Table:
    """A table without lines, each row of it one line.

    A column whose title ends in > is aligned to the right.
    """
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, collapse_padding=True)
    for title in titles:
        is_text = title in _GIVE_WAY
        table.add_column(
            title.removesuffix(">"),
            justify="right" if title.endswith(">") else "left",
            no_wrap=not is_text,
        )
    return table


def _shortened(text: str, style: str = "") -> Text:
    """What gives way where the terminal is narrow, and stays one line."""
    from rich.text import Text  # noqa: PLC0415

    return Text(text, style, no_wrap=True, overflow="ellipsis")


def spark(values: Sequence[float | None], width: int = _SPARK_WIDTH) -> str:
    """All values as a line of at most so many bars, the last at its end.

    Each bar is the greatest of as many values; what is not known is left blank.
    """
    each = math.ceil(len(values) / max(1, min(width, _SPARK_WIDTH))) or 1
    groups = [values[max(0, end - each) : end] for end in range(len(values), 0, -each)]
    shown = [max((v for v in of if v is not None), default=None) for of in reversed(groups)]
    top = max((value for value in shown if value is not None), default=0.0)
    last = len(_BARS) - 1
    return "".join(
        _GAP if value is None else _BARS[round(value / top * last) if top else 0]
        for value in shown
    )  # fmt: skip


def _a_second(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}/s" if value >= 1 else f"{value:,.2f}/s"


def milliseconds(value: float | None) -> str:
    """A time, or a dash where it is not known."""
    return "-" if value is None else f"{value:,.2f} ms"


def clock(at: float) -> str:
    """A moment, in UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%SZ}"
