"""A socket on its way from the engine to a Tornado `IOStream`.

The stream works on a duplicate of the socket, so that the engine's transport may close its own. It
reads first what the engine had already read, and writes only once the transport has sent what was
written before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tornado.iostream import IOStream

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Departure:
    """What a connection leaves behind.

    Attributes:
        socket: a duplicate of the connection's, non-blocking.
        unread: bytes that were received and not consumed.
        has_sent_all: whether the transport has sent everything that was written to it.
    """

    socket: socket.socket
    unread: bytes
    has_sent_all: Callable[[], bool]


class TakenStream(IOStream):
    """The stream that goes on where the engine left.

    Args:
        departure: of the connection.
        closed: called once the stream is closed.
        options: those of `IOStream`.
    """

    def __init__(
        self,
        departure: Departure,
        closed: Callable[[TakenStream], None],
        **options: Any,  # noqa: ANN401
    ) -> None:
        self._unread = memoryview(departure.unread)
        self._has_sent_all = departure.has_sent_all
        self._closed_callback = closed
        super().__init__(departure.socket, **options)

    def close_fd(self) -> None:
        """Close the socket, and tell whom it concerns."""
        super().close_fd()
        self._closed_callback(self)

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        """Read what was already received, then the socket."""
        if self._unread:
            part = self._unread[: len(buf)]
            self._unread = self._unread[len(part) :]
            buf[: len(part)] = part
            return len(part)
        return super().read_from_fd(buf)

    def write_to_fd(self, data: memoryview) -> int:
        """Write once nothing else waits to be written; asked again until then."""
        if not self._has_sent_all():
            return 0
        return super().write_to_fd(data)
