"""The traffic of a host, read from Nginx's own log: what clients truly got.

Not counted is what says nothing of the release in force: while a release was tried that the host
went back from, and while the service was closed for maintenance.
"""

from __future__ import annotations

import math
import time
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from app.release.host import audit
from app.release.judge import bucket
from app.release.messages import TrafficSeen, Window

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.release.host.site import Site

SLICES = 2
_OWN = "windlass-probe"
_MOST_BYTES = 64 << 20
"""More of a log file is not read; its oldest lines are left out then."""


class _Line(msgspec.Struct):
    timestamp: str
    status: int
    duration_s: float = 0.0
    user_agent: str = ""


def read(site: Site, baseline_s: float) -> TrafficSeen:
    """The requests since the last switch, in slices, and those of `baseline_s` before it."""
    now = time.time()
    pending = site.pending()
    switched = pending.at if pending else now
    closed = site.closed_since()
    left_out = _left_out(site, closed)
    before, after = Window(), [Window() for _ in range(SLICES)]
    length_s = max(1.0, (now - switched) / SLICES)
    for line in _lines(site.stack / "log", switched - baseline_s):
        at = _seconds(line.timestamp)
        if any(begun - 1 <= at <= ended + 1 for begun, ended in left_out):
            continue
        # Nginx writes whole seconds. One of the second of the switch is of neither side for sure.
        if switched - baseline_s <= at < switched - 1:
            _count(before, line)
        elif at > switched:
            _count(after[min(SLICES - 1, int((at - switched) / length_s))], line)
    return TrafficSeen(before, after, now - switched, closed is not None)


def _left_out(site: Site, closed: float | None) -> list[tuple[float, float]]:
    """From when to when traffic says nothing of the release that was in force."""
    found = [] if closed is None else [(closed, math.inf)]
    opened = None if closed is None else math.inf
    went_back: dict[str, float] = {}
    for entry in audit.newest(site):
        at = entry.timestamp
        if entry.action == "back" and entry.result == audit.WENT_BACK:
            went_back[entry.deploy] = at
        elif entry.action == "switch" and entry.deploy in went_back:
            found.append((at, went_back.pop(entry.deploy)))
        elif entry.action == "maintenance" and entry.result == "off":
            opened = at
        elif entry.action == "maintenance" and opened is not None:
            found.append((at, opened))
    return found


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


def _count(window: Window, line: _Line) -> None:
    window.requests += 1
    window.errors += line.status >= 500
    number = bucket(line.duration_s)
    window.durations[number] = window.durations.get(number, 0) + 1


def _lines(folder: Path, since: float) -> Iterator[_Line]:
    """The lines of the log and of those that were rotated since, oldest file first."""
    files = sorted(folder.glob("nginx.log*"), key=lambda path: path.stat().st_mtime)
    for path in files:
        if path.stat().st_mtime < since:
            continue
        with path.open("rb") as file:
            size = path.stat().st_size
            if size > _MOST_BYTES:
                file.seek(size - _MOST_BYTES)
                file.readline()
            for text in file:
                if not text.startswith(b"{"):
                    continue
                try:
                    # What a client sent is there as it came, UTF-8 or not, and must hide no error.
                    line = msgspec.json.decode(text.decode(errors="replace"), type=_Line)
                except msgspec.MsgspecError:  # the last line may be half written
                    continue
                if line.user_agent != _OWN:
                    yield line
