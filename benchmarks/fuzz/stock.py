"""What stock Tornado and h11 make of the same bytes: where does each request end?

A request that the engine accepts must be framed by others as by it, or be refused by them; else
two servers in a row could take one client's body for another's request.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h11
from tornado.http1connection import HTTP1ConnectionParameters, HTTP1ServerConnection
from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    ResponseStartLine,
)
from tornado.iostream import BaseIOStream

from app.server.reading import END, Reader, Refusal, Upgrade
from benchmarks.fuzz.reading import MAX_FIELDS, outcome

if TYPE_CHECKING:
    import asyncio

    from tornado.httputil import RequestStartLine

_HEAD_BYTES = 1 << 16
_ANY = ("tornado", "h11")
EXPLAINED = (
    (
        _ANY,
        rb"\A\S+ {2,}|\A\S+ +\S+ {2,}",
        "llhttp passes over more than one space around the target",
    ),
    (
        _ANY,
        rb"\A\S+ +\S+ +(?:RTSP|ICE)/",
        "llhttp knows other protocols' names; framing is the same",
    ),
    (_ANY, rb"\A\S+ +\S+ +HTTP/1\.0\r\n", "HTTP/1.0: others keep such a connection less often"),
    (("tornado",), rb"\r\n[0-9a-fA-F]+;", "Tornado knows no chunk extensions"),
    (("tornado",), rb"\r\n0+\r\n[^\r]", "Tornado knows no trailers"),
    (("h11",), rb"\ACONNECT ", "h11 ends with CONNECT"),
)
"""Why others refuse what the engine accepts: for whom, a pattern of the request, the reason. Empty
lines before a request are taken out beforehand: llhttp passes over them all, as RFC 9112, section
2.2, asks for one."""


@dataclass(frozen=True, slots=True)
class Framed:
    """One whole request."""

    method: str
    target: str
    version: str
    body: bytes


def by_engine(data: bytes) -> list[Framed]:
    """The requests that the engine accepts, up to the first that asks for an upgrade."""
    found = []
    head: tuple[Any, ...] = ()
    for event in outcome(data, (0, len(data))):
        if event[0] == "head":
            head = event
        elif event[0] == "end":
            body: Any = event[1]
            found.append(Framed(head[1], head[2], head[3], body))
            if not head[5]:
                break
    return found


def by_tornado(data: bytes, loop: asyncio.AbstractEventLoop) -> list[Framed]:
    """The requests that stock Tornado accepts."""
    taken: list[Framed] = []

    async def serve() -> None:
        stream = _Bytes(data)
        params = HTTP1ConnectionParameters(max_header_size=_HEAD_BYTES, max_body_size=1 << 30)
        connection = HTTP1ServerConnection(stream, params)  # type: ignore[arg-type]
        connection.start_serving(_Taking(taken))
        # It offers no other way to wait for its end.
        serving: Any = connection._serving_future  # noqa: SLF001
        await serving

    loop.run_until_complete(serve())
    return taken


def by_h11(data: bytes) -> list[Framed]:
    """The requests that h11 accepts."""
    taken: list[Framed] = []
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)
    connection.receive_data(data)
    connection.receive_data(b"")
    try:
        while (framed := _next_of_h11(connection)) is not None:
            taken.append(framed)
            if framed.method == "CONNECT":
                break
            connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                break
            connection.start_next_cycle()
    except h11.RemoteProtocolError:
        pass
    return taken


def requests_in(data: bytes) -> list[bytes]:
    """The bytes of each request that the engine accepts, without the empty lines before it."""
    reader = Reader(_HEAD_BYTES, MAX_FIELDS)
    found = []
    start = -1
    for at in range(len(data)):
        events = reader.feed(data[at : at + 1])
        if start < 0 and reader.is_in_head:
            start = at
        if events and isinstance(events[-1], (Refusal, Upgrade)):
            break
        if END in events:
            found.append(data[start : at + 1])
            start = -1
    reader.close()
    return found


def difference(requests: list[bytes], theirs: list[Framed], who: str) -> str:
    """How another frames requests that the engine accepts.

    Args:
        requests: as of `requests_in`.
        theirs: what the other made of them, one after another.
        who: "tornado" or "h11".

    Returns:
        Empty where there is no difference; "explained: ..." where the other refuses for a reason
        of `EXPLAINED`; else what differs.
    """
    ours = by_engine(b"".join(requests))
    for own, other in zip(ours, theirs, strict=False):
        if own != other:
            return f"framed there as {other}, here as {own}"
    if len(theirs) >= len(ours):
        return ""
    until_refused = requests[: len(theirs) + 1]
    for names, pattern, reason in EXPLAINED:
        if who in names and any(re.search(pattern, text) for text in until_refused):
            return f"explained: {reason}"
    return f"refused there: {until_refused[-1]!r}"


def _next_of_h11(connection: h11.Connection) -> Framed | None:
    request: h11.Request | None = None
    body = []
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            version = f"HTTP/{request.http_version.decode()}"
            target = request.target.decode("latin-1")
            return Framed(request.method.decode(), target, version, b"".join(body))
        else:
            return None


class _Bytes(BaseIOStream):
    """A stream that holds all its bytes, and then its end."""

    def __init__(self, data: bytes) -> None:
        self._left = memoryview(data)
        super().__init__()

    def fileno(self) -> int:
        raise AssertionError("nothing is waited for")

    def close_fd(self) -> None:
        self._left = memoryview(b"")

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        part = self._left[: len(buf)]
        self._left = self._left[len(part) :]
        buf[: len(part)] = part
        return len(part)

    def write_to_fd(self, data: memoryview) -> int:
        return len(data)

    def set_nodelay(self, value: bool) -> None:  # noqa: FBT001 - as of a stream
        """No network, no delay."""


class _Taking(HTTPServerConnectionDelegate):
    def __init__(self, taken: list[Framed]) -> None:
        self.taken = taken

    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:  # noqa: ANN401, ARG002
        return _Request(self.taken, request_conn)


class _Request(HTTPMessageDelegate):
    def __init__(self, taken: list[Framed], connection: Any) -> None:  # noqa: ANN401
        self._taken, self._connection = taken, connection
        self._body: list[bytes] = []

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> None:  # noqa: ANN401, ARG002
        self._line: RequestStartLine = start_line

    def data_received(self, chunk: bytes) -> None:
        self._body.append(chunk)

    def finish(self) -> None:
        self._taken.append(Framed(*self._line, b"".join(self._body)))
        line = ResponseStartLine("HTTP/1.1", 200, "OK")
        self._connection.write_headers(line, HTTPHeaders({"Content-Length": "0"}))
        self._connection.finish()
