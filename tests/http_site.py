"""A served application and clients that send bytes as they please, in one event loop.

A site watches itself: it fails when anything was logged as an error, when the event loop caught an
exception that nobody handled, and when a connection or a task is left once all clients are gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import uvloop
from tornado.netutil import bind_sockets

from app.server import HTTPServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

TIMEOUT_S = 10.0
FACTORIES: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


async def until(condition: Callable[[], object], what: str, timeout_s: float = TIMEOUT_S) -> None:
    """Return when a condition holds; fail when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s in vain for: {what}"
        await asyncio.sleep(0.001)


# ---- the server


class Watch(logging.Handler):
    """Keeps what should not have happened: errors in the log, exceptions that nobody handled."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.infos: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record of the log."""
        text = f"{record.name}: {self.format(record)}"
        is_fault = record.levelno >= logging.ERROR or record.exc_info or record.name == "asyncio"
        (self.faults if is_fault else self.infos).append(text)

    def caught(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Keep what the event loop could not hand to anyone."""
        self.faults.append(f"event loop: {context}")


@dataclass
class Site:
    """A server on a port of its own."""

    server: HTTPServer
    address: Any
    watch: Watch
    clients: list[Client] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """What went wrong so far."""
        return self.watch.faults

    @property
    def open_connections(self) -> int:
        """Connections that the server counts, those of stock Tornado among them."""
        return len(self.server._open) + len(self.server._connections)

    async def client(self, *, receive_buffer_bytes: int | None = None) -> Client:
        """Connect."""
        family = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        sock = socket.socket(family)
        sock.setblocking(False)  # noqa: FBT003
        if receive_buffer_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        if family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = Client(sock)
        self.clients.append(client)
        await asyncio.get_running_loop().sock_connect(sock, self.address)
        return client

    async def exchange(self, *pieces: bytes) -> bytes:
        """Send pieces on a connection of their own; return all that comes until it is closed."""
        client = await self.client()
        await client.send(*pieces)
        answer = await client.rest()
        client.close()
        return answer


@contextlib.asynccontextmanager
async def serving(
    callback: Any,  # noqa: ANN401 - a delegate or a function, as in Tornado
    *,
    path: str | None = None,
    is_clean: bool = True,
    **options: Any,  # noqa: ANN401
) -> AsyncIterator[Site]:
    """Serve until the end of the block, then see that nothing is left.

    Args:
        callback: what answers.
        path: of a unix socket; a port of 127.0.0.1 without it.
        is_clean: whether errors in the log are faults of the test.
        options: of `HTTPServer`.
    """
    loop = asyncio.get_running_loop()
    tasks_before = asyncio.all_tasks()
    server = HTTPServer(callback, **options)
    listeners = [_unix_listener(path)] if path else bind_sockets(0, "127.0.0.1")
    address = listeners[0].getsockname()
    with _watching(loop) as watch:
        server.add_sockets(listeners)
        site = Site(server, address, watch)
        try:
            yield site
            for client in site.clients:
                client.close()
            await until(lambda: not site.open_connections, "the last connection's end", 5)
            await until(lambda: asyncio.all_tasks() <= tasks_before | _listening(server), "tasks")
        finally:
            for client in site.clients:
                client.close()
            server.stop()
            await server.close_all_connections()
    if is_clean:
        assert watch.faults == []


def _listening(server: HTTPServer) -> set[asyncio.Task[Any]]:
    return set(server._listening.values())


def _unix_listener(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.setblocking(False)  # noqa: FBT003
    listener.bind(path)
    listener.listen(16)
    return listener


@contextlib.contextmanager
def _watching(loop: asyncio.AbstractEventLoop) -> Any:  # noqa: ANN401 - contextlib's own form
    watch = Watch()
    names = ("tornado.application", "tornado.general", "asyncio")
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger.level, logger.propagate) for logger in loggers]
    loop.set_exception_handler(watch.caught)
    for logger in loggers:
        logger.addHandler(watch)
        logger.setLevel(logging.INFO)
        # A record that pytest keeps would keep its connection, too.
        logger.propagate = False
    try:
        yield watch
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(watch)
            logger.setLevel(level)
            logger.propagate = propagate
        loop.set_exception_handler(None)


# ---- the client


class Client:
    """A connection whose bytes are the test's own."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.received = bytearray()
        self.was_reset = False
        self._loop = asyncio.get_running_loop()

    async def send(self, *pieces: bytes) -> None:
        """Send pieces, each of which the server reads by itself."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                for piece in pieces:
                    await self._loop.sock_sendall(self.socket, piece)
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
        except (BrokenPipeError, ConnectionResetError):
            self.was_reset = True

    async def receive(self, most: int = 65536) -> bytes:
        """Some bytes; none when the server has closed."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                data = await self._loop.sock_recv(self.socket, most)
        except ConnectionResetError:
            self.was_reset = True
            return b""
        self.received += data
        return data

    async def rest(self) -> bytes:
        """All that was and will be received until the server closes."""
        while await self.receive():
            pass
        taken, self.received = self.received, bytearray()
        return bytes(taken)

    async def read_until(self, mark: bytes) -> bytes:
        """What comes up to a mark, the mark included."""
        while mark not in self.received:
            assert await self.receive(), f"closed before {mark!r}: {self.received[-200:]!r}"
        end = self.received.index(mark) + len(mark)
        taken, self.received = self.received[:end], self.received[end:]
        return bytes(taken)

    async def response(self, method: str = "GET") -> Response:
        """The next response."""
        while (found := parse_response(bytes(self.received), method)) is None:
            assert await self.receive(), f"closed within a response: {self.received[-200:]!r}"
        response, rest = found
        self.received = bytearray(rest)
        return response

    def shut_down(self) -> None:
        """Say that nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Leave."""
        self.socket.close()


# ---- responses


@dataclass(frozen=True, slots=True)
class Response:
    """A response as a strict client reads it."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def values(self, name: str) -> list[str]:
        """The values of a field."""
        return [value for field_name, value in self.fields if field_name.lower() == name.lower()]


def parse_response(
    data: bytes, method: str, *, ended: bool = False
) -> tuple[Response, bytes] | None:
    """The response at the beginning of `data` and what follows, or None while it is not whole.

    Args:
        data: as received.
        method: of the request.
        ended: whether the server has closed, which ends a body without a length.
    """
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status, _ = first.split(" ", 2)
    assert version == "HTTP/1.1", first
    fields = tuple((line.partition(": ")[0], line.partition(": ")[2]) for line in lines)
    response = Response(int(status), fields, b"")
    body = _body(response, rest, method, ended=ended)
    return None if body is None else (Response(int(status), fields, body[0]), body[1])


def _body(
    response: Response, rest: bytes, method: str, *, ended: bool
) -> tuple[bytes, bytes] | None:
    lengths, codings = response.values("Content-Length"), response.values("Transfer-Encoding")
    assert len(lengths) + len(codings) <= 1, response
    if method == "HEAD" or response.status in {204, 304} or response.status < 200:
        assert not codings, response
        return b"", rest
    if codings:
        assert codings == ["chunked"]
        return _chunks(rest)
    if lengths:
        length = int(lengths[0])
        return (rest[:length], rest[length:]) if len(rest) >= length else None
    return (rest, b"") if ended else None


def _chunks(data: bytes) -> tuple[bytes, bytes] | None:
    parts = []
    at = 0
    while (line_end := data.find(b"\r\n", at)) >= 0:
        start = line_end + 2
        end = start + int(data[at:line_end], 16)
        at = end + 2
        if len(data) < at:
            return None
        assert data[end:at] == b"\r\n"
        parts.append(data[start:end])
        if start == end:
            return b"".join(parts), data[at:]
    return None


def parse_responses(data: bytes, methods: Iterable[str] = ()) -> list[Response]:
    """All responses on a connection that the server has closed."""
    responses = []
    waiting = list(methods)
    while data:
        found = parse_response(data, waiting[0] if waiting else "GET", ended=True)
        assert found, f"half a response: {data[:300]!r}"
        response, data = found
        responses.append(response)
        if response.status >= 200 and waiting:
            waiting.pop(0)
    return responses
