"""One client's connection: requests in, one at a time to their delegate, responses out in order.

Guarantees: a delegate that was told of a request's headers is told either of its end or that the
connection is gone, never of both. The next request begins when the response before it is written;
while it waits, while a delegate asks for time, or while the client does not read, nothing more is
taken from the client than is already here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from math import inf
from typing import TYPE_CHECKING, Any, cast

from tornado.gen import convert_yielded
from tornado.httputil import HTTPInputError
from tornado.iostream import StreamClosedError
from tornado.log import app_log, gen_log

from app.server.context import Context
from app.server.exchange import Exchange
from app.server.handover import Departure
from app.server.reading import End, Event, Head, Reader, Refusal, Upgrade

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from tornado.httputil import HTTPMessageDelegate
    from tornado.iostream import IOStream

    from app.server.engine import HTTPServer

_MOST_WAITING = 16
"""Events that may wait while reading goes on; reading is how a client's leaving is noticed."""
_LINGER_S = 2.0
"""How long a client may go on sending after it was told to stop, so that it can read the answer."""
_ANSWERS = {
    400: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    414: b"HTTP/1.1 414 URI Too Long\r\n\r\n",
    431: b"HTTP/1.1 431 Request Header Fields Too Large\r\n\r\n",
}


class Connection(asyncio.Protocol):
    """A connection that the engine has accepted."""

    __slots__ = (
        "_context", "_deadline", "_delegate", "_drained", "_events", "_exchange", "_held", "_loop",
        "_reader", "_reading_paused", "_server", "_stopped", "_timer", "_timer_at",
        "_transport", "_unsent", "_unsent_since", "_write_paused", "closed",
    )  # fmt: skip

    def __init__(self, server: HTTPServer, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._events: deque[Event] = deque()
        self._exchange: Exchange | None = None
        self._delegate: HTTPMessageDelegate | None = None
        self._held = self._stopped = self._reading_paused = self._write_paused = False
        self._drained: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = self._timer_at = inf
        self._unsent, self._unsent_since = 0, 0.0
        self.closed = False

    # ---- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._context = Context(
            transport.get_extra_info("peername"),
            _family(transport.get_extra_info("socket")),
            self._server.protocol or "http",
        )
        self._reader = Reader(self._server.max_head_bytes, self._server.max_fields)
        self._server.opened(self)
        self._set_deadline(self._server.idle_timeout_s)

    def data_received(self, data: bytes) -> None:
        """The client has sent bytes."""
        if self._stopped:
            return
        events = self._reader.feed(data)
        if events:
            self._events.extend(events)
            self._advance()
        if self._reader.is_in_head and self._exchange is None and not self._stopped:
            self._begin_head_time()

    def pause_writing(self) -> None:
        """The client takes its responses slower than they are made."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._write_paused = False
        if self._drained is not None:
            drained, self._drained = self._drained, None
            if not drained.done():
                drained.set_result(None)
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's form
        """The connection is gone."""
        self.closed = self._stopped = True
        self._deadline = inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._events.clear()
        self._reader.close()
        exchange, delegate = self._exchange, self._delegate
        self._exchange = self._delegate = None
        if exchange is not None and not exchange.detached:
            if exchange.read_finished:
                self._guarded(exchange.client_left)
            elif delegate is not None:
                self._guarded(delegate.on_connection_close)
        if self._drained is not None:
            drained, self._drained = self._drained, None
            if not drained.done():
                drained.set_exception(StreamClosedError())
                drained.exception()
        self._server.on_close(self)

    # ---- what an exchange calls

    def send(self, data: bytes) -> asyncio.Future[None]:
        """Write; the future resolves once more may be written."""
        if self.is_closed():
            gone: asyncio.Future[None] = self._loop.create_future()
            gone.set_exception(StreamClosedError())
            gone.exception()
            return gone
        if data:
            self._transport.write(data)
        if not self._write_paused:
            return self._server.done
        if self._drained is None or self._drained.done():
            self._drained = self._loop.create_future()
        return self._drained

    def response_finished(self, exchange: Exchange) -> None:
        """Go on to the next request, or close."""
        if exchange is not self._exchange:
            return
        if exchange.read_finished:
            self._end_exchange(exchange)
        elif not self._held and exchange.head.has_body:
            # The rest of the request has no reader any more; only closing stops its sender.
            self._close()

    def is_last(self) -> bool:
        """Whether the response under way must be the connection's last."""
        return self._server.is_draining or self._server.closes_each

    def leave(self) -> IOStream:
        """Give the socket away."""
        return self._server.hand_over(self._depart(b""))

    def close(self) -> None:
        """Close; what was written is still sent if the client takes it."""
        self._stop()
        self._transport.close()
        self._set_deadline(_LINGER_S)

    def abort(self) -> None:
        """Close at once."""
        self._stop()
        self._transport.abort()

    # ---- what handlers that reach below HTTP call, as on an `IOStream`

    @property
    def socket(self) -> socket.socket:
        """The socket."""
        return cast("socket.socket", self._transport.get_extra_info("socket"))

    def write(self, data: bytes) -> asyncio.Future[None]:
        """Write bytes as they are."""
        return self.send(data)

    def is_closed(self) -> bool:
        """Whether nothing can be written any more."""
        return self._stopped or self._transport.is_closing()

    # ---- events

    def _advance(self) -> None:
        """Handle the events that may be handled now."""
        events = self._events
        while events and not self._held:
            event = events[0]
            if type(event) is Head:
                if self._exchange is not None or self._write_paused:
                    break
                events.popleft()
                self._begin(event)
            elif type(event) is bytes:
                events.popleft()
                if len(event) > self._server.chunk_size:
                    events.appendleft(event[self._server.chunk_size :])
                    event = event[: self._server.chunk_size]
                self._deliver(event)
            elif type(event) is End:
                events.popleft()
                self._end_request()
            elif self._exchange is not None and self._exchange.read_finished:
                break  # the request before comes first
            else:
                events.popleft()
                self._break_off(event)
        self._balance()

    def _balance(self) -> None:
        """Read on or not, as there is room."""
        if self._stopped:
            return
        events = self._events
        full = self._held or self._write_paused or len(events) > _MOST_WAITING
        # What comes after a request for an upgrade is not for this reader.
        full = full or bool(events and type(events[-1]) is Upgrade)
        if full != self._reading_paused:
            self._reading_paused = full
            if full:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _begin(self, head: Head) -> None:
        server = self._server
        self._deadline = inf
        context = self._context
        if server.xheaders:
            context = context.behind_proxy(head.headers, server.trusted)
        exchange = Exchange(self, head, context, server.max_body_size, server.body_timeout_s)
        self._exchange = exchange
        try:
            delegate = server.start_request(self, exchange)
            self._delegate = delegate
            waiting = delegate.headers_received(head.start_line, head.headers)
        except Exception as error:  # noqa: BLE001 - whatever the application raises
            self._failed(error)
            return
        if waiting is None:
            self._headers_taken()
        else:
            self._hold(waiting, self._headers_taken)

    def _headers_taken(self) -> None:
        """Ask for the body."""
        exchange = self._exchange
        if exchange is None or exchange.detached or self._stopped:
            return
        head = exchange.head
        if not head.has_body:
            return
        if head.length > exchange.max_body_size:
            self._failed(HTTPInputError("Content-Length too long"))
            return
        if exchange.write_finished:
            self._close()
            return
        if _expects_continue(head) and not exchange.responded:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if exchange.body_timeout_s is not None:
            self._set_deadline(exchange.body_timeout_s)

    def _deliver(self, part: bytes) -> None:
        exchange, delegate = self._exchange, self._delegate
        if exchange is None or delegate is None or exchange.write_finished:
            return
        exchange.received += len(part)
        if exchange.received > exchange.max_body_size:
            self._failed(HTTPInputError("chunked body too large"))
            return
        try:
            waiting = delegate.data_received(part)
        except Exception as error:  # noqa: BLE001
            self._failed(error)
            return
        if waiting is not None:
            self._hold(waiting, self._part_taken)

    def _part_taken(self) -> None:
        exchange = self._exchange
        if exchange is not None and exchange.write_finished:
            self._close()

    def _end_request(self) -> None:
        exchange, delegate = self._exchange, self._delegate
        if exchange is None or delegate is None:
            return
        exchange.read_finished = True
        self._deadline = inf
        self._delegate = None
        if exchange.write_finished:
            self._tell_later(delegate)
            self._end_exchange(exchange)
            return
        try:
            delegate.finish()
        except Exception as error:  # noqa: BLE001
            self._delegate = delegate
            self._failed(error)

    def _end_exchange(self, exchange: Exchange) -> None:
        """The request is read and its response written."""
        self._exchange = self._delegate = None
        if not exchange.keeps_alive:
            self._close()
            return
        self._set_deadline(self._server.idle_timeout_s)
        if self._events:
            self._loop.call_soon(self._advance)

    # ---- waiting for the application

    def _hold(self, waiting: Awaitable[None], then: Callable[[], None]) -> None:
        """Handle nothing more until the application is ready for it."""
        future = convert_yielded(waiting)
        if future.done() and not future.cancelled() and future.exception() is None:
            then()
            return
        self._held = True

        def resume(done: asyncio.Future[None]) -> None:
            self._held = False
            if self._stopped or self.closed:
                if not done.cancelled():
                    done.exception()
                return
            error = asyncio.CancelledError() if done.cancelled() else done.exception()
            if error is not None:
                self._failed(error)
                return
            then()
            self._advance()

        future.add_done_callback(resume)

    # ---- the end of a connection

    def _break_off(self, event: Event) -> None:
        if isinstance(event, Upgrade):
            departure = self._depart(event.received)
            self._server.serve_stock(departure, self._context)
        elif isinstance(event, Refusal):
            self._refuse(event.status, event.reason)

    def _failed(self, error: BaseException) -> None:
        """The application, or its reading of the request, failed."""
        if isinstance(error, HTTPInputError):
            self._refuse(400, str(error))
            return
        app_log.error("Uncaught exception", exc_info=error)
        if self._exchange is not None and not self._exchange.responded:
            self._server.refused(500)
        self._tell_delegate()
        self._exchange = None
        self.close()

    def _refuse(self, status: int, reason: str) -> None:
        """Answer that the request is not understood, and close."""
        if status == 400:
            gen_log.info("Malformed HTTP message from %s: %s", self._context, reason)
        else:
            gen_log.info("%s, from %s", reason, self._context)
        exchange = self._exchange
        if exchange is None or not exchange.responded:
            self._server.refused(status)
            self._transport.write(_ANSWERS[status])
        self._close()

    def _tell_delegate(self) -> None:
        delegate, self._delegate = self._delegate, None
        if delegate is not None:
            self._guarded(delegate.on_connection_close)

    def _close(self) -> None:
        """Close so that the client can still read what was written.

        Closing a socket with unread bytes resets the connection, and with it the answer on its way.
        """
        delegate = self._delegate
        self._stop()
        self._exchange = self._delegate = None
        if delegate is not None:
            self._tell_later(delegate)
        if self._transport.is_closing():
            return
        if not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
        self._set_deadline(_LINGER_S)

    def _stop(self) -> None:
        """Read no further requests."""
        self._stopped = True
        self._events.clear()

    def _depart(self, unread: bytes) -> Departure:
        transport, duplicate = self._transport, self.socket.dup()
        duplicate.setblocking(False)  # noqa: FBT003
        self._stop()
        self._exchange = self._delegate = None
        has_sent_all = transport.get_write_buffer_size() == 0
        transport.pause_reading()
        transport.close()
        return Departure(duplicate, unread, lambda: has_sent_all or self.closed)

    def _tell_later(self, delegate: HTTPMessageDelegate) -> None:
        """Tell a delegate, from outside its own call, that the rest of its request is gone."""
        self._loop.call_soon(self._guarded, delegate.on_connection_close)

    def _guarded(self, call: Callable[[], Any]) -> None:
        try:
            call()
        except Exception:  # noqa: BLE001 - whatever the application raises
            app_log.error("Uncaught exception", exc_info=True)

    # ---- time

    def _begin_head_time(self) -> None:
        """From its first byte on, a head has its own time."""
        limit = self._server.header_timeout_s
        if self._deadline - self._loop.time() > limit:
            self._set_deadline(limit)

    def _set_deadline(self, seconds: float) -> None:
        """Close in `seconds` unless another deadline is set before; one timer serves them all."""
        self._deadline = self._loop.time() + seconds
        if self._timer is None:
            self._timer_at = self._deadline
            self._timer = self._loop.call_at(self._deadline, self._timer_fired)
        elif self._deadline < self._timer_at:
            self._timer.cancel()
            self._timer_at = self._deadline
            self._timer = self._loop.call_at(self._deadline, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        if self._deadline == inf:
            return
        if self._loop.time() < self._deadline:
            self._timer_at = self._deadline
            self._timer = self._loop.call_at(self._deadline, self._timer_fired)
            return
        if self._exchange is not None:
            gen_log.info("Timeout reading body from %s", self._context)
        elif self._is_sending():
            self._set_deadline(_LINGER_S)
            return
        self.abort()

    def _is_sending(self) -> bool:
        """Whether its client still takes what was written, however slowly."""
        unsent, now = self._transport.get_write_buffer_size(), self._loop.time()
        if unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
        return unsent > 0 and now - self._unsent_since < self._server.idle_timeout_s


def _expects_continue(head: Head) -> bool:
    """Whether the client waits for word to send its body; HTTP/1.0 has no such word."""
    is_expected = head.headers.get("Expect", "").lower() == "100-continue"
    return is_expected and head.start_line.version == "HTTP/1.1"


def _family(sock: Any) -> int | None:  # noqa: ANN401 - asyncio's own kind of socket
    return None if sock is None else int(sock.family)
