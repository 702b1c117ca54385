"""Tornado's own HTTP server, with what draining needs.

Tornado does not count the requests under way. Each request's connection is therefore wrapped on its
way to the application: the wrapper counts, and adds `Connection: close` once the server drains, so
that a kept-alive client leaves at a response boundary.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPMessageDelegate, HTTPServerConnectionDelegate

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Coroutine

    from tornado.concurrent import Future
    from tornado.httputil import (
        HTTPConnection,
        HTTPHeaders,
        RequestStartLine,
        ResponseStartLine,
    )
    from tornado.web import Application

_WRITE_POLL_S = 0.005


class StockServer:
    """Serves one Tornado application on sockets that already listen.

    Args:
        application: what answers.
        max_body_bytes: a larger request body is refused.
        behind_proxy: whether the client's address is what `X-Real-IP` says.
    """

    def __init__(
        self, application: Application, *, max_body_bytes: int, behind_proxy: bool
    ) -> None:
        self._tracker = _Tracker(application)
        # Tornado's type for a callback leaves out the delegates that its documentation allows.
        self._server = HTTPServer(
            self._tracker,
            max_body_size=max_body_bytes,
            max_buffer_size=max_body_bytes + 65536,
            xheaders=behind_proxy,
        )

    def listen(self, listeners: list[socket.socket]) -> None:
        """Begin to accept; needs a running event loop."""
        self._server.add_sockets(listeners)

    async def drain(self, timeout_s: float) -> int:
        """Stop accepting and return when every request is answered, or at the latest in time.

        Args:
            timeout_s: seconds after which the requests still under way are given up.

        Returns:
            How many requests were given up: 0 when all was well.
        """
        self._server.stop()
        self._tracker.draining = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._tracker.idle(), timeout_s)
        given_up = self._tracker.in_flight
        await self._server.close_all_connections()
        return given_up


class _Tracker(HTTPServerConnectionDelegate):
    """Passes requests on to the application and knows how many are under way."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.in_flight = 0
        self.draining = False

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        connection: Any = _TrackedConnection(request_conn, self)
        return _TrackedMessage(self._application.start_request(server_conn, connection), connection)

    def on_close(self, server_conn: object) -> None:
        self._application.on_close(server_conn)

    async def idle(self) -> None:
        await self._idle.wait()

    def begin(self) -> None:
        self.in_flight += 1
        self._idle.clear()

    def end(self) -> None:
        self.in_flight -= 1
        if not self.in_flight:
            self._idle.set()


class _TrackedConnection:
    """An `HTTPConnection` that tells the tracker when its response is finished."""

    def __init__(self, connection: HTTPConnection, tracker: _Tracker) -> None:
        self._connection = connection
        self._tracker = tracker
        self._under_way = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - all else is the connection's own
        return getattr(self._connection, name)

    def begin(self) -> None:
        self._under_way = True
        self._tracker.begin()

    def end(self) -> None:
        if self._under_way:
            self._under_way = False
            self._tracker.end()

    def write_headers(
        self,
        start_line: RequestStartLine | ResponseStartLine,
        headers: HTTPHeaders,
        chunk: bytes | None = None,
    ) -> Future[None]:
        if self._tracker.draining:
            headers["Connection"] = "close"
        return self._connection.write_headers(start_line, headers, chunk)

    def finish(self) -> None:
        self._connection.finish()
        if self._is_writing():
            self._tracker.spawn(self._end_when_written())
        else:
            self.end()

    def _is_writing(self) -> bool:
        stream = self._connection.stream  # type: ignore[attr-defined] # of HTTP1Connection
        return stream is not None and not stream.closed() and stream.writing()

    async def _end_when_written(self) -> None:
        # The answer waits for a slow reader; closing the connection now would cut it off. Tornado
        # tells nobody when the last byte has left, so this looks.
        while self._is_writing():  # noqa: ASYNC110 - see above
            await asyncio.sleep(_WRITE_POLL_S)
        self.end()


class _TrackedMessage(HTTPMessageDelegate):
    """The application's delegate for one request, told apart only by when it begins and breaks."""

    def __init__(self, delegate: HTTPMessageDelegate, connection: _TrackedConnection) -> None:
        self._delegate = delegate
        self._connection = connection

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        self._connection.begin()
        return self._delegate.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._delegate.data_received(chunk)

    def finish(self) -> None:
        self._delegate.finish()

    def on_connection_close(self) -> None:
        self._connection.end()
        self._delegate.on_connection_close()
