"""The HTTP engine: `tornado.httpserver.HTTPServer` on asyncio's transports and llhttp.

Tornado's own server reads each request through an `IOStream`, a coroutine and several futures;
here bytes go from the transport to llhttp and from there to the application. What lies above,
`tornado.web.Application` and its handlers, is the same. TLS and upgraded connections are stock
Tornado's.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from typing import TYPE_CHECKING, Any, cast

from tornado import httpserver, httputil
from tornado.http1connection import _GzipMessageDelegate
from tornado.httpserver import _CallableAdapter

from app.server.connection import Connection
from app.server.draining import accepted_are_known
from app.server.handover import Departure, TakenStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tornado.httputil import HTTPMessageDelegate
    from tornado.iostream import IOStream

    from app.server.context import Context
    from app.server.exchange import Exchange

MAX_HEAD_BYTES = 65536
MAX_FIELDS = 100
MAX_BODY_BYTES = 100 * 1024 * 1024
BACKLOG = 2048


class HTTPServer(httpserver.HTTPServer):
    """A drop-in for Tornado's `HTTPServer`: the same arguments, and those of `initialize` here."""

    def initialize(  # type: ignore[override]
        self,
        request_callback: Any,  # noqa: ANN401 - a delegate or a function, as in Tornado
        *,
        max_header_count: int = MAX_FIELDS,
        header_timeout: float | None = None,
        trusted_downstream: list[str] | None = None,
        backlog: int = BACKLOG,
        refused: Callable[[int], None] | None = None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        """Take what Tornado's server takes, and more.

        Args:
            request_callback: a `tornado.web.Application`, another delegate, or a function.
            max_header_count: a request with more header fields is refused with 431.
            header_timeout: seconds from a request's first byte to the end of its head; no longer
                than `idle_connection_timeout`, which is also what it is by default.
            trusted_downstream: proxies to pass over in `X-Forwarded-For`.
            backlog: connections that may wait to be accepted; asyncio sets it anew on each socket
                that it is given, to 100 if nobody says otherwise.
            refused: told of the status of each answer that no handler gave; 500 where an
                application failed and the connection was closed unanswered.
            options: as in Tornado.
        """
        super().initialize(request_callback, trusted_downstream=trusted_downstream, **options)
        params = self.conn_params
        self.is_stock = options.get("ssl_options") is not None
        self.max_head_bytes = params.max_header_size
        self.chunk_size = params.chunk_size
        self.max_fields = max_header_count
        self.closes_each = params.no_keep_alive
        self.backlog = backlog
        self.refused = refused or _say_nothing
        self.idle_timeout_s = float(params.header_timeout or 3600)
        self.header_timeout_s = header_timeout or self.idle_timeout_s
        self.body_timeout_s = params.body_timeout
        limit = params.max_body_size
        if limit is None:
            limit = options.get("max_buffer_size") or MAX_BODY_BYTES
        self.max_body_size = int(limit)
        self.trusted = frozenset(trusted_downstream or ())
        self.is_draining = False
        self._open: set[Connection] = set()
        self._taken: set[TakenStream] = set()
        self._none_open = asyncio.Event()
        self._none_open.set()
        self._listening: dict[socket.socket, asyncio.Task[asyncio.AbstractServer]] = {}

    # ---- listening, as of `tornado.tcpserver.TCPServer`

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Accept connections on listening sockets, of TCP or unix."""
        if self.is_stock:
            super().add_sockets(sockets)
            return
        loop = asyncio.get_event_loop()
        self.done: asyncio.Future[None] = loop.create_future()
        self.done.set_result(None)
        for listener in sockets:
            self._listening[listener] = loop.create_task(self._listen(loop, listener))

    def stop(self) -> None:
        """Accept no more connections; those open go on."""
        for listener, listening in self._listening.items():
            if listening.cancel():
                listener.close()
            else:
                listening.result().close()
        self._listening.clear()
        super().stop()

    async def close_all_connections(self) -> None:
        """Close every connection and return when all are closed."""
        for connection in tuple(self._open):
            connection.abort()
        await super().close_all_connections()
        await self._none_open.wait()

    async def drain(self, timeout_s: float) -> int:
        """Stop accepting and return when every connection is closed, or at the latest in time.

        A response tells its client that it is the connection's last, so each connection ends at a
        response boundary. One that is idle is left to its client, who may just then be sending;
        WebSockets and detached streams are left to their handlers.

        Args:
            timeout_s: seconds after which what is still open is cut.

        Returns:
            How many were cut: 0 when all was well.
        """
        self.stop()
        self.is_draining = self.conn_params.no_keep_alive = True
        await accepted_are_known()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._none_open.wait(), timeout_s)
        # A stream whose connection stock Tornado still serves counts once.
        cut = self.open_connections
        for stream in tuple(self._taken):
            stream.close()
        await self.close_all_connections()
        return cut

    async def _listen(
        self, loop: asyncio.AbstractEventLoop, listener: socket.socket
    ) -> asyncio.AbstractServer:
        def connection() -> Connection:
            return Connection(self, loop)

        if listener.family == socket.AF_UNIX:
            # The path belongs to who bound the socket; Python 3.13 would remove it.
            keep: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
            return await loop.create_unix_server(
                connection, sock=listener, backlog=self.backlog, **keep
            )
        return await loop.create_server(connection, sock=listener, backlog=self.backlog)

    @property
    def open_connections(self) -> int:
        """How many connections are open."""
        return len(self._open) + max(len(self._connections), len(self._taken))

    # ---- what a connection calls

    def opened(self, connection: Connection) -> None:
        """Count a connection in."""
        self._open.add(connection)
        self._none_open.clear()

    def on_close(self, server_conn: object) -> None:
        """Count a connection out."""
        if isinstance(server_conn, Connection):
            self._open.discard(server_conn)
        else:
            super().on_close(server_conn)
        self._note_end()

    def start_request(
        self, server_conn: object, request_conn: httputil.HTTPConnection
    ) -> HTTPMessageDelegate:
        """Who takes a request."""
        if not isinstance(server_conn, Connection):
            return super().start_request(server_conn, request_conn)
        callback = self.request_callback
        if isinstance(callback, httputil.HTTPServerConnectionDelegate):
            delegate = callback.start_request(server_conn, request_conn)
        else:
            delegate = _CallableAdapter(callback, request_conn)
        if self.conn_params.decompress:
            limit = cast("Exchange", request_conn).max_body_size
            delegate = _GzipMessageDelegate(delegate, self.conn_params.chunk_size, limit)
        return delegate

    def serve_stock(self, departure: Departure, context: Context) -> None:
        """Let stock Tornado serve the rest of a connection."""
        self.handle_stream(self.hand_over(departure), context.address)

    def hand_over(self, departure: Departure) -> IOStream:
        """The stream of a connection that leaves the engine."""
        stream = TakenStream(
            departure,
            self._stream_closed,
            max_buffer_size=self.max_buffer_size,
            read_chunk_size=self.read_chunk_size,
        )
        self._taken.add(stream)
        self._none_open.clear()
        return stream

    def handle_stream(self, stream: IOStream, address: Any) -> None:  # noqa: ANN401
        """Serve a connection by stock Tornado."""
        super().handle_stream(stream, address)
        self._none_open.clear()

    def _stream_closed(self, stream: TakenStream) -> None:
        self._taken.discard(stream)
        self._note_end()

    def _note_end(self) -> None:
        if not self._open and not self._connections and not self._taken:
            self._none_open.set()


def _say_nothing(_status: int) -> None:
    """Nobody wants to know."""
