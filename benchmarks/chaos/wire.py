"""One connection of the client: HTTP/1.1, a request at a time, its answer whole or an error."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; `last` says that the connection ends with it."""

    status: int
    body: bytes
    last: bool


class BrokenError(Exception):
    """A connection ended before an answer did; `clean` when not a byte of it had come."""

    def __init__(self, *, clean: bool) -> None:
        super().__init__("closed before its answer" if clean else "closed within its answer")
        self.clean = clean


class Exchange(asyncio.Protocol):
    """A connection; `is_open` says whether another request can be sent on it."""

    def __init__(self) -> None:
        self.is_open = False
        self.used = False
        self._received = b""
        self._awaited: asyncio.Future[Answer] | None = None

    def begin(self, data: bytes) -> asyncio.Future[Answer]:
        """Send the first bytes of a request; what is returned has its answer, or `BrokenError`."""
        self._awaited = asyncio.get_running_loop().create_future()
        if not self.is_open:
            self._fail()
        else:
            self._transport.write(data)
        return self._awaited

    def more(self, data: bytes) -> None:
        """Send more of the same request."""
        if self.is_open:
            self._transport.write(data)

    def close(self) -> None:
        """Close at once."""
        if self.is_open:
            self._transport.abort()
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """Take what has come of an answer."""
        self._received += data
        answer = parse(self._received)
        if answer is None or self._awaited is None:
            return
        awaited, self._awaited, self._received, self.used = self._awaited, None, b"", True
        if answer.last:
            self.close()
        if not awaited.done():
            awaited.set_result(answer)

    def eof_received(self) -> bool:
        """The other side sends no more: neither does this one."""
        self.is_open = False
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - that it is lost counts
        """Tell whoever waits for an answer."""
        self.is_open = False
        self._fail()

    def _fail(self) -> None:
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_exception(BrokenError(clean=not self._received))
        self._awaited = None


def parse(data: bytes) -> Answer | None:
    """The answer that bytes are, once it is whole; its body has a length or comes in chunks."""
    end = data.find(_END)
    if end < 0:
        return None
    head = data[: end + 2].lower()
    status, body = int(data[9:12]), data[end + len(_END) :]
    last = b"\r\nconnection: close\r\n" in head
    if b"\r\ntransfer-encoding: chunked\r\n" in head:
        whole = _unchunk(body)
        return None if whole is None else Answer(status, whole, last)
    at = head.find(b"\r\ncontent-length:")
    length = int(head[at + 17 : head.index(b"\r\n", at + 2)]) if at >= 0 else 0
    return Answer(status, body[:length], last) if len(body) >= length else None


def _unchunk(data: bytes) -> bytes | None:
    found, at = b"", 0
    while (line := data.find(b"\r\n", at)) >= 0:
        size = int(data[at:line].partition(b";")[0], 16)
        if size == 0:
            return found if data.find(b"\r\n", line + 2) >= 0 else None
        at = line + 2 + size + 2
        if at > len(data):
            return None
        found += data[line + 2 : at - 2]
    return None
