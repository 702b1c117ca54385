"""From bytes to requests: llhttp at work, in its strict form.

Guarantees: whatever the bytes and however they are split, the same requests come out, or a
`Refusal` after which nothing more is read. What two servers could frame in two ways is refused.
The head is bounded in bytes and fields, chunk framing in bytes for each chunk; a body is bounded by
who takes its parts. The work is linear in the bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httptools
from tornado.httputil import RequestStartLine

from app.server.headers import RequestHeaders, is_host

if TYPE_CHECKING:
    from tornado.httputil import HTTPHeaders

_LONGEST_CHUNK_LINE = 64
_METHODS: dict[bytes, str] = {}
_VERSIONS = {"1.0": "HTTP/1.0", "1.1": "HTTP/1.1"}


class Head:
    """The head of a request.

    Attributes:
        length: bytes of the body as `Content-Length` says; 0 where there is none.
        is_chunked: whether the body comes in chunks.
        has_body: whether there is one to come.
        keeps_alive: whether the client lets the connection go on.
    """

    __slots__ = ("has_body", "headers", "is_chunked", "keeps_alive", "length", "start_line")

    def __init__(
        self, start_line: RequestStartLine, headers: HTTPHeaders, *, keeps_alive: bool
    ) -> None:
        self.start_line = start_line
        self.headers = headers
        self.keeps_alive = keeps_alive
        self.is_chunked = "Transfer-Encoding" in headers
        self.length = int(headers.get("Content-Length") or 0)
        self.has_body = self.is_chunked or self.length > 0


class End:
    """The end of a request."""


class Refusal:
    """What cannot be understood or is too large; nothing after it is read.

    Attributes:
        status: HTTP status code of the answer.
        reason: for the log.
    """

    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason


class Upgrade:
    """A request to change the protocol, with all that came after it.

    Attributes:
        received: bytes from the request's first on, equal in meaning to those received.
    """

    __slots__ = ("received",)

    def __init__(self, received: bytes) -> None:
        self.received = received


END: Final = End()
Event = Head | bytes | End | Refusal | Upgrade


class Reader:
    """Reads the requests of one connection.

    Args:
        max_head_bytes: the most of a request line with its header fields.
        max_fields: the most header fields.
    """

    __slots__ = (
        "_chunks",
        "_events",
        "_fields",
        "_framing_bytes",
        "_head_bytes",
        "_in_chunks",
        "_in_head",
        "_is_new",
        "_max_fields",
        "_max_head_bytes",
        "_parser",
        "_parts",
        "_refusal",
        "_upgrading",
        "_url",
    )

    def __init__(self, max_head_bytes: int, max_fields: int) -> None:
        self._max_head_bytes = max_head_bytes
        self._max_fields = max_fields
        self._events: list[Event] = []
        self._parts: list[bytes] = []
        self._fields: list[tuple[bytes, bytes]] = []
        self._url = b""
        self._in_head = self._in_chunks = self._is_new = self._upgrading = False
        self._head_bytes = self._framing_bytes = self._chunks = 0
        self._refusal: Refusal | None = None
        self._parser = httptools.HttpRequestParser(self)

    @property
    def is_in_head(self) -> bool:
        """Whether a request has begun whose head has not ended."""
        return self._in_head

    def close(self) -> None:
        """Let go of the parser, which refers back to this."""
        del self._parser

    def feed(self, data: bytes) -> list[Event]:
        """Take bytes and return what they bring, in order.

        A `Refusal` or an `Upgrade` is the last; nothing may be fed after it.
        """
        if len(data) > self._max_head_bytes:
            return self._feed_in_parts(data)
        events: list[Event] = []
        self._events = events
        self._is_new = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            events.append(Upgrade(self._request_again() + data[upgrade.args[0] :]))
        except httptools.HttpParserError as error:
            self._flush_body()
            events.append(self._refusal or Refusal(400, _reason(error)))
        else:
            of_body = sum(map(len, self._parts)) if self._in_chunks else 0
            self._flush_body()
            # It is not known how much of these bytes came after a request's end or a head's.
            if self._in_head:
                self._bound_head(1 if self._is_new else len(data))
            elif self._in_chunks and not self._is_new:
                self._bound_framing(len(data) - of_body)
        return events

    def _feed_in_parts(self, data: bytes) -> list[Event]:
        """Take more than a head may have; in parts, so that its bytes are counted."""
        events: list[Event] = []
        for start in range(0, len(data), self._max_head_bytes):
            end = start + self._max_head_bytes
            events += self.feed(data[start:end])
            last = events[-1] if events else None
            if isinstance(last, Upgrade):
                last.received += data[end:]
            if isinstance(last, (Refusal, Upgrade)):
                break
        return events

    # ---- what llhttp calls

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = True
        self._is_new = bool(self._events)
        self._url = b""
        self._fields = []
        self._head_bytes = 0

    def on_url(self, part: bytes) -> None:
        """A part of the request target."""
        self._url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field; one of a trailer is passed over."""
        if self._in_head:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """The head has ended."""
        self._in_head = False
        parser = self._parser
        fields = self._fields
        if len(fields) > self._max_fields:
            self._refuse(431, f"more than {self._max_fields} header fields")
        if self._head_bytes:
            self._check_head()
        if parser.should_upgrade():
            self._upgrading = True
            return
        raw = parser.get_method()
        method = _METHODS.get(raw) or _METHODS.setdefault(raw, raw.decode("ascii"))
        version = _VERSIONS.get(parser.get_http_version(), "")
        headers = RequestHeaders(fields)
        start_line = RequestStartLine(method, self._url.decode("latin-1"), version)
        fault = _fault(version, headers)
        if fault:
            self._refuse(400, fault)
        head = Head(start_line, headers, keeps_alive=parser.should_keep_alive())
        self._in_chunks = self._is_new = head.is_chunked
        self._framing_bytes = self._chunks = 0
        self._events.append(head)

    def on_chunk_header(self) -> None:
        """A chunk begins."""
        self._chunks += 1

    def on_body(self, part: bytes) -> None:
        """A part of the body."""
        self._parts.append(part)

    def on_message_complete(self) -> None:
        """The request has ended."""
        if self._upgrading:
            return
        self._in_chunks = False
        if self._parts:
            self._flush_body()
        self._events.append(END)

    # ---- limits

    def _bound_head(self, size: int) -> None:
        """Refuse a head that is too long although it has not ended."""
        self._head_bytes += size
        if self._head_bytes > self._max_head_bytes:
            self._events.append(self._too_long())

    def _check_head(self) -> None:
        """Refuse a head that is too long, which it cannot be where it came in one part."""
        size = len(self._url) + sum(len(name) + len(value) + 4 for name, value in self._fields)
        if size > self._max_head_bytes:
            self._refusal = self._too_long()
            raise _RefusedError

    def _too_long(self) -> Refusal:
        status = 414 if len(self._url) > self._max_head_bytes // 2 else 431
        reason = f"Unsatisfiable read: the head is longer than {self._max_head_bytes} bytes"
        return Refusal(status, reason)

    def _bound_framing(self, size: int) -> None:
        """Refuse chunks that consist of extensions, and trailers without end."""
        self._framing_bytes += size
        allowed = self._max_head_bytes + self._chunks * _LONGEST_CHUNK_LINE
        if self._framing_bytes > allowed:
            self._events.append(Refusal(400, "too much chunk framing"))

    def _refuse(self, status: int, reason: str) -> None:
        self._refusal = Refusal(status, reason)
        raise _RefusedError

    # ---- parts

    def _flush_body(self) -> None:
        parts = self._parts
        if parts:
            self._events.append(parts[0] if len(parts) == 1 else b"".join(parts))
            self._parts = []

    def _request_again(self) -> bytes:
        """The request that asks for an upgrade, in bytes."""
        parser = self._parser
        version = parser.get_http_version().encode()
        first = b"%b %b HTTP/%b\r\n" % (parser.get_method(), self._url, version)
        fields = [b"%b: %b\r\n" % field for field in self._fields]
        return b"".join([first, *fields, b"\r\n"])


class _RefusedError(Exception):
    """Stops llhttp; why stands in the reader."""


_REASONS = {
    "Invalid method encountered": "Malformed HTTP request line",
    "Invalid header token": "Malformed header: no colon in header line, or a forbidden character",
    "Invalid character in chunk size": "invalid chunk size",
    "Invalid character in Content-Length": "Only integer Content-Length is allowed",
}
"""llhttp's words in those of Tornado, which people search for in logs."""


def _reason(error: httptools.HttpParserError) -> str:
    text = str(error) or type(error).__name__
    return _REASONS.get(text, text)


def _fault(version: str, headers: HTTPHeaders) -> str:
    """Why a head is refused that llhttp finds sound; empty when it is not."""
    if not version:
        return "HTTP version is not 1.0 or 1.1"
    if "Transfer-Encoding" in headers:
        coding = headers["Transfer-Encoding"]
        if coding.lower() != "chunked" or version == "HTTP/1.0":
            return f"Unsupported Transfer-Encoding {coding}"
    return _fault_of_host(headers.get_list("Host"), version)


def _fault_of_host(hosts: list[str], version: str) -> str:
    if not hosts:
        return "Missing Host header" if version == "HTTP/1.1" else ""
    if len(hosts) > 1:
        return f"Multiple host headers not allowed: {','.join(hosts)!r}"
    return "" if is_host(hosts[0]) else f"Invalid Host header: {hosts[0]!r}"
