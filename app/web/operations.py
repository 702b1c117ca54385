"""`/metrics`, `/status/data` and `/status/events`: how the service is, for machines."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from tornado.iostream import StreamClosedError

from app.errors import BusyError
from app.telemetry import catalogue
from app.telemetry.exposition import MEDIA_TYPE
from app.web.handler import JSON
from app.web.operator import OperatorHandler

if TYPE_CHECKING:
    from collections.abc import Awaitable

EVERY_S = 1.0
MOST_STREAMS = 64
"""Of one worker: whoever has more boards open than this had better ask less often."""


class MetricsHandler(OperatorHandler):
    """`GET /metrics`: all metrics of all workers, in the text that Prometheus reads."""

    def get(self) -> None:
        """Answer with the metrics."""
        self.finish_as(MEDIA_TYPE, self.services.reporter.metrics())


class StatusDataHandler(OperatorHandler):
    """`GET /status/data`: the board, as JSON; see `app.telemetry.board`."""

    async def get(self) -> None:
        """Answer with the board."""
        self.finish_as(JSON, await self.services.reporter.document())


class StatusEventsHandler(OperatorHandler):
    """`GET /status/events`: the board about once a second, as server-sent events.

    The stream ends when its worker drains; a browser asks again at once, and meets another.
    """

    _open = 0
    _streaming: asyncio.Task[None] | None = None

    async def get(self) -> None:
        """Send boards until the client leaves or the worker is to end."""
        if StatusEventsHandler._open >= MOST_STREAMS:
            raise BusyError("Too many boards are watched through this worker; try again later")
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("X-Accel-Buffering", "no")
        if self.request.method == "HEAD":
            return
        self._streaming = asyncio.current_task()
        self._count(1)
        try:
            with contextlib.suppress(StreamClosedError, asyncio.CancelledError):
                await self._stream()
        finally:
            self._count(-1)

    async def _stream(self) -> None:
        self.write("retry: 1000\n\n")
        while not self.services.is_draining():
            document = await self.services.reporter.document()
            self.write(b"event: board\ndata: " + document + b"\n\n")
            await self.flush()
            if self.first_part_s is None:
                self.first_part_s = self.request.request_time()
            await asyncio.sleep(EVERY_S)

    def _count(self, change: int) -> None:
        StatusEventsHandler._open += change
        self.services.station.meter.put(catalogue.STREAMS, StatusEventsHandler._open)

    def on_connection_close(self) -> None:
        """End at once: nobody reads any more."""
        if self._streaming is not None:
            self._streaming.cancel()

    def head(self, *args: str, **kwargs: str) -> Awaitable[None] | None:
        """Answer with the header fields alone."""
        return self.get(*args, **kwargs)
