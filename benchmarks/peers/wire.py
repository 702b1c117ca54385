"""One kept-alive connection of the load: request bytes out, answers in, as little else as can be.

An answer is found by its Content-Length, and nothing else of it is looked at but its status and
whether the connection ends with it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_LENGTH = b"\r\ncontent-length:"
_CLOSE = b"\r\nconnection: close"


class Listener(Protocol):
    """Who hears of a connection."""

    def opened(self, connection: Connection) -> None:
        """It can be sent on."""

    def answered(self, connection: Connection, status: int) -> None:
        """The answer to its request is there."""

    def lost(self, connection: Connection, reason: str) -> None:
        """It is closed; `reason` says why where that is an error."""


class Connection(asyncio.Protocol):
    """A connection that carries one request at a time.

    Args:
        listener: told of what happens.
        address: as in `connect`.
    """

    def __init__(self, listener: Listener, address: str) -> None:
        self._listener = listener
        self._received = b""
        self._reason = ""
        self.address = address
        self.waiting = False
        """Whether a request has no answer yet."""
        self.closing = False
        """Whether the last answer was the connection's last."""
        self.intended = self.sent = 0.0
        """When the request was meant to be sent and when it was; for whoever sends."""

    def send(self, request: bytes) -> None:
        """Send a request; the one before it must have been answered."""
        self.waiting = True
        self._transport.write(request)

    def close(self) -> None:
        """Close at once."""
        self.closing = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._listener.opened(self)

    def data_received(self, data: bytes) -> None:
        """Take what has come of an answer."""
        if self._received:
            data = self._received + data
        end_of_head = data.find(b"\r\n\r\n")
        if end_of_head < 0:
            self._received = data
            return
        head = data[: end_of_head + 2].lower()
        at = head.find(_LENGTH)
        if at < 0:
            self._fail("an answer without Content-Length")
            return
        at += len(_LENGTH)
        missing = end_of_head + 4 + int(head[at : head.index(b"\r\n", at)]) - len(data)
        if missing > 0:
            self._received = data
        elif missing < 0 or not self.waiting:
            self._fail("more bytes than were asked for")
        else:
            self._received = b""
            self._take(head)

    def _take(self, head: bytes) -> None:
        self.waiting = False
        if _CLOSE in head:
            self.closing = True
            self._transport.close()
        self._listener.answered(self, int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the reason is known
        """Tell; a request that was under way has failed."""
        if self.waiting and not self._reason and not self.closing:
            self._reason = "a connection broken before its answer"
        self._listener.lost(self, self._reason)

    def _fail(self, reason: str) -> None:
        self._reason = reason
        self._transport.abort()


async def connect(make: Callable[[], Connection], address: str) -> None:
    """Open a connection.

    Args:
        make: makes the protocol.
        address: HOST:PORT, or unix:PATH.

    Raises:
        OSError: nobody accepts it.
    """
    loop = asyncio.get_running_loop()
    if address.startswith("unix:"):
        await loop.create_unix_connection(make, address.removeprefix("unix:"))
    else:
        host, _, port = address.rpartition(":")
        await loop.create_connection(make, host, int(port))
