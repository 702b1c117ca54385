"""A proxy between the store and Redis that breaks connections on demand.

It runs in the event loop of who uses it. What it forwards can be chopped into pieces, held back, or
cut off in the middle of a reply, and a connection can be reset as a failing network would.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

_PIECE = 65536


class Relay:
    """One connection through the proxy.

    Attributes:
        requests: the pieces that came from the client, in their order.
        bytes_left: of replies that still pass before the connection is reset; None: no end.
    """

    def __init__(
        self, client: tuple[asyncio.StreamReader, asyncio.StreamWriter], proxy: Proxy
    ) -> None:
        self._from_client, self._to_client = client
        self._proxy = proxy
        self.requests: list[bytes] = []
        self.bytes_left: int | None = None

    def reset(self) -> None:
        """Break both sides off at once, as by RST."""
        transport = self._to_client.transport
        if transport.is_closing():
            return
        carrier = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            carrier.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    def push(self, data: bytes) -> None:
        """Send the client bytes that Redis never sent."""
        self._to_client.write(data)

    async def run(self) -> None:
        """Forward until one side ends."""
        try:
            from_redis, to_redis = await asyncio.open_unix_connection(self._proxy.path)
        except OSError:
            self.reset()
            return
        up = asyncio.create_task(self._forward_requests(to_redis))
        try:
            await self._forward_replies(from_redis)
        except OSError:
            pass
        finally:
            up.cancel()
            to_redis.transport.abort()
            self._to_client.transport.abort()
            await asyncio.wait([up])

    async def _forward_requests(self, to_redis: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await self._from_client.read(_PIECE):
                if self._proxy.keeps_requests:
                    self.requests.append(data)
                await self._proxy.requests_pass.wait()
                to_redis.write(data)
        to_redis.transport.abort()

    async def _forward_replies(self, from_redis: asyncio.StreamReader) -> None:
        while data := await from_redis.read(_PIECE):
            await self._proxy.replies_pass.wait()
            for piece in self._proxy.chop(data):
                if self._to_client.transport.is_closing():
                    return
                if self.bytes_left is not None and len(piece) >= self.bytes_left:
                    self._to_client.write(piece[: self.bytes_left])
                    await asyncio.sleep(0)
                    self.reset()
                    return
                if self.bytes_left is not None:
                    self.bytes_left -= len(piece)
                self._to_client.write(piece)
                if len(piece) < len(data):
                    await asyncio.sleep(0)  # the pieces travel apart


class Proxy:
    """The proxy; use it as an asynchronous context manager.

    Args:
        path: of the unix socket of Redis.
        tls: where given, clients speak TLS.

    Attributes:
        relays: the connections that stand, the oldest first.
        accepted: how many there have been.
        chop: cuts what Redis sends into pieces that are sent one after another.
        requests_pass: while cleared, nothing reaches Redis.
        replies_pass: while cleared, nothing comes back.
        keeps_requests: whether relays remember what was sent.
    """

    def __init__(self, path: str, *, tls: ssl.SSLContext | None = None) -> None:
        self.path = path
        self.relays: list[Relay] = []
        self.accepted = 0
        self.chop: Callable[[bytes], Iterable[bytes]] = lambda data: (data,)
        self.requests_pass = asyncio.Event()
        self.replies_pass = asyncio.Event()
        self.requests_pass.set()
        self.replies_pass.set()
        self.keeps_requests = False
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        """Listen on a port of 127.0.0.1."""
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Reset what stands and listen no longer."""
        await self.stop()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def listen(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections from now on, and reset those that stand."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for relay in list(self.relays):
            relay.reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        relay = Relay((reader, writer), self)
        self.relays.append(relay)
        self.accepted += 1
        try:
            await relay.run()
        except asyncio.CancelledError:
            relay.reset()
        finally:
            self.relays.remove(relay)
