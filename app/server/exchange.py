"""One request and its response: what Tornado calls an `HTTPConnection`.

A handler writes its response here, through the same methods that Tornado's `HTTP1Connection` has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado import httputil

from app.server.headers import head_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tornado.httputil import HTTPHeaders, RequestStartLine, ResponseStartLine
    from tornado.iostream import IOStream

    from app.server.connection import Connection
    from app.server.context import Context
    from app.server.reading import Head


class Exchange(httputil.HTTPConnection):
    """A response under way on a connection.

    Attributes:
        head: of the request.
        context: the client.
        max_body_size: bytes; a larger request body is refused.
        body_timeout_s: seconds in which the body must have come, or None.
        received: bytes of the request's body so far.
        read_finished: whether the whole request has been handed to the delegate.
        write_finished: whether the handler has written all of its response.
        responded: whether anything of the response was written.
        detached: whether the handler has taken the socket for itself.
    """

    __slots__ = (
        "_chunking",
        "_close_callback",
        "_connection",
        "_remaining",
        "body_timeout_s",
        "context",
        "detached",
        "head",
        "keeps_alive",
        "max_body_size",
        "read_finished",
        "received",
        "responded",
        "write_finished",
    )

    def __init__(
        self,
        connection: Connection,
        head: Head,
        context: Context,
        max_body_size: int,
        body_timeout_s: float | None,
    ) -> None:
        self._connection = connection
        self._close_callback: Callable[[], None] | None = None
        self._chunking = False
        self._remaining: int | None = None
        self.head = head
        self.context = context
        self.max_body_size = max_body_size
        self.body_timeout_s = body_timeout_s
        self.keeps_alive = head.keeps_alive
        self.received = 0
        self.read_finished = self.write_finished = self.responded = self.detached = False

    # ---- what handlers call

    def write_headers(
        self,
        start_line: RequestStartLine | ResponseStartLine,
        headers: HTTPHeaders,
        chunk: bytes | None = None,
    ) -> asyncio.Future[None]:
        """Write the head of the response, and the first part of its body.

        Raises:
            ValueError: a header would break out of its line.
            HTTPOutputError: the chunk is longer than `Content-Length` says.
        """
        _, code, reason = start_line
        self._frame(int(code), headers)
        data = head_of(int(code), reason, headers)
        if chunk:
            data += self._framed(chunk)
        self.responded = True
        return self._connection.send(data)

    def write(self, chunk: bytes) -> asyncio.Future[None]:
        """Write a part of the body.

        Returns:
            Resolves once the client has taken enough of it that more may be written.

        Raises:
            HTTPOutputError: the body is longer than `Content-Length` says.
        """
        return self._connection.send(self._framed(chunk))

    def finish(self) -> None:
        """End the response.

        Raises:
            HTTPOutputError: the body is shorter than `Content-Length` says.
        """
        if self._remaining and not self._connection.is_closed():
            missing = self._remaining
            self._connection.close()
            raise httputil.HTTPOutputError(
                f"Tried to write {missing} bytes less than Content-Length"
            )
        if self._chunking:
            self._connection.send(b"0\r\n\r\n")
        self.write_finished = True
        self._connection.response_finished(self)

    def respond(self, head: bytes, body: bytes) -> None:
        """Write a whole response that was put together beforehand, and end it.

        Args:
            head: up to the last field's line break; with `Content-Length`, without `Connection`.
            body: what is sent of it: nothing for HEAD.
        """
        option = self._connection_option()
        if option:
            head += b"Connection: %b\r\n" % option.encode()
        self.responded = self.write_finished = True
        self._connection.send(b"%b\r\n%b" % (head, body))
        self._connection.response_finished(self)

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Call `callback` if the client leaves before it has its response."""
        self._close_callback = callback

    def set_max_body_size(self, max_body_size: int) -> None:
        """Set this request's own limit, in bytes; before its body is read."""
        self.max_body_size = max_body_size

    def set_body_timeout(self, timeout: float) -> None:
        """Set this request's own time for its body, in seconds; before its body is read."""
        self.body_timeout_s = timeout

    def detach(self) -> IOStream:
        """Take the socket: nothing more is read or written here."""
        self.detached = True
        self._close_callback = None
        return self._connection.leave()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @property
    def stream(self) -> Connection:
        """The connection, for handlers that write or close below HTTP."""
        return self._connection

    # ---- what the connection calls

    def client_left(self) -> None:
        """Tell the handler that nobody waits for its response any more."""
        callback, self._close_callback = self._close_callback, None
        if callback is not None:
            callback()

    # ---- framing

    def _frame(self, code: int, headers: HTTPHeaders) -> None:
        """Decide how the body's end will be known, and say so in the headers."""
        head = self.head
        is_http11 = head.start_line.version == "HTTP/1.1"
        has_no_body = head.start_line.method == "HEAD" or code in {204, 304} or 100 <= code < 200
        length = headers.get("Content-Length")
        self._chunking = is_http11 and not has_no_body and length is None
        if self._chunking:
            headers["Transfer-Encoding"] = "chunked"
        elif not is_http11 and not has_no_body and length is None:
            self.keeps_alive = False  # the end of the connection is the end of the body
        self._remaining = _whole_number(length)
        if head.start_line.method == "HEAD" or code == 304:
            self._remaining = 0
        option = self._connection_option()
        if option:
            headers["Connection"] = option

    def _connection_option(self) -> str:
        """What `Connection` says; empty where the version's own rule holds."""
        is_http11 = self.head.start_line.version == "HTTP/1.1"
        if not self.keeps_alive or self._connection.is_last():
            self.keeps_alive = False
            return "close" if is_http11 else ""
        return "" if is_http11 else "Keep-Alive"

    def _framed(self, chunk: bytes) -> bytes:
        if self._remaining is not None:
            self._remaining -= len(chunk)
            if self._remaining < 0:
                self._connection.close()
                raise httputil.HTTPOutputError("Tried to write more data than Content-Length")
        if self._chunking and chunk:
            return b"%x\r\n%b\r\n" % (len(chunk), chunk)
        return bytes(chunk)


def _whole_number(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"Content-Length must be a whole number, not {text!r}")
    return int(text)
