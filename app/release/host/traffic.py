"""The traffic of a host, read from Nginx's own log: what clients truly got."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

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
    before, after = Window(), [Window() for _ in range(SLICES)]
    length_s = max(1.0, (now - switched) / SLICES)
    for line in _lines(site.stack / "log", switched - baseline_s):
        # Nginx writes whole seconds. One of the second of the switch is of neither side for sure.
        at = datetime.fromisoformat(line.timestamp).timestamp()
        if at < switched - 1:
            _count(before, line)
        elif at > switched:
            _count(after[min(SLICES - 1, int((at - switched) / length_s))], line)
    return TrafficSeen(before, after, now - switched)


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
                    line = msgspec.json.decode(text, type=_Line)
                except msgspec.MsgspecError:  # the last line may be half written
                    continue
                if line.user_agent != _OWN:
                    yield line
