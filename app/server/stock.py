"""Tornado's own HTTP server, with what draining needs.

A server that drains must not close a kept-alive connection by itself: its client, Nginx, may just
then be sending a request that it cannot send twice. So it stops accepting, adds `Connection: close`
to every answer, and waits until each connection was closed from the other side: at a response
boundary, or because it was idle for longer than Nginx keeps one (`keepalive_timeout` of the
upstream in `nginx/nginx.conf`). Tornado does not tell of connections; a delegate around the
application does.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, cast

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerConnectionDelegate

from app.server.draining import accepted_are_known

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from tornado.concurrent import Future
    from tornado.httputil import (
        HTTPConnection,
        HTTPHeaders,
        HTTPMessageDelegate,
        RequestStartLine,
        ResponseStartLine,
    )
    from tornado.web import Application


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
        self._server = _Server(
            self._tracker,
            max_body_size=max_body_bytes,
            max_buffer_size=max_body_bytes + 65536,
            xheaders=behind_proxy,
        )

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Begin to accept; needs a running event loop."""
        self._server.add_sockets(sockets)

    @property
    def open_connections(self) -> int:
        """How many connections are open."""
        return len(self._tracker.open)

    async def drain(self, timeout_s: float) -> int:
        """Stop accepting and return when every connection is closed, or at the latest in time.

        Args:
            timeout_s: seconds after which the connections still open are cut.

        Returns:
            How many were cut: 0 when all was well.
        """
        self._server.stop()
        self._tracker.draining = True
        await accepted_are_known()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._tracker.none_open.wait(), timeout_s)
        cut = len(self._tracker.open)
        await self._server.close_all_connections()
        return cut


class _Server(HTTPServer):
    """Passes on what Tornado's server keeps to itself: that a connection was closed."""

    def on_close(self, server_conn: object) -> None:
        super().on_close(server_conn)
        cast("_Tracker", self.request_callback).on_close(server_conn)


class _Tracker(HTTPServerConnectionDelegate):
    """Passes requests on to the application and knows which connections are open."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self.open: set[object] = set()
        self.none_open = asyncio.Event()
        self.none_open.set()
        self.draining = False

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        # Tornado calls this as soon as a connection is accepted, before its first request.
        self.open.add(server_conn)
        self.none_open.clear()
        connection: Any = _ClosingConnection(request_conn, self)
        return self._application.start_request(server_conn, connection)

    def on_close(self, server_conn: object) -> None:
        self.open.discard(server_conn)
        if not self.open:
            self.none_open.set()
        self._application.on_close(server_conn)


class _ClosingConnection:
    """An `HTTPConnection` that asks its client to leave once the server drains."""

    def __init__(self, connection: HTTPConnection, tracker: _Tracker) -> None:
        self._connection = connection
        self._tracker = tracker

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - all else is the connection's own
        return getattr(self._connection, name)

    def write_headers(
        self,
        start_line: RequestStartLine | ResponseStartLine,
        headers: HTTPHeaders,
        chunk: bytes | None = None,
    ) -> Future[None]:
        if self._tracker.draining:
            headers["Connection"] = "close"
        return self._connection.write_headers(start_line, headers, chunk)
