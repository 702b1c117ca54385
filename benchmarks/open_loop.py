"""Requests at a fixed rate, whatever the server does: an open loop.

A client that waits for one answer before it sends the next request stops measuring just when the
server stalls (coordinated omission). Here every request has a time at which it is meant to be sent,
and its latency counts from then, so a stall is seen by every request that falls into it. How late
the client itself was is kept, too: a client that is late measures itself.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

ANSWER_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One request; times in seconds on the loop's clock.

    Attributes:
        intended: when it was meant to be sent.
        sent: when it was.
        answered: when the whole answer was there.
        status: of the answer.
    """

    intended: float
    sent: float
    answered: float
    status: int

    @property
    def latency_s(self) -> float:
        """From the intended time to the end of the answer."""
        return self.answered - self.intended

    @property
    def lateness_s(self) -> float:
        """How late the client sent it."""
        return self.sent - self.intended


class Client:
    """HTTP/1.1 over connections that are kept, as many as there are requests at a time.

    Args:
        connect: opens one more connection.
    """

    def __init__(self, connect: Callable[[], Awaitable[Streams]]) -> None:
        self._connect = connect
        self._idle: list[Streams] = []

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send one request and return the status and body of its answer.

        Raises:
            TimeoutError: there is no answer within `ANSWER_TIMEOUT_S`.
            OSError: the connection fails.
            EOFError: it ends before the answer does.
        """
        async with asyncio.timeout(ANSWER_TIMEOUT_S), self._connection() as (reader, writer):
            writer.write(request)
            await writer.drain()
            return await _answer(reader)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Streams]:
        streams = self._idle.pop() if self._idle else await self._connect()
        try:
            yield streams
        except BaseException:
            streams[1].close()  # what is left of this answer must not be taken for the next
            raise
        self._idle.append(streams)

    async def close(self) -> None:
        """Close every connection that is idle."""
        while self._idle:
            _, writer = self._idle.pop()
            writer.close()
            await writer.wait_closed()


def request_of(
    method: str, path: str, body: bytes = b"", content_type: str = "application/json"
) -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    if body:
        lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def at_rate(client: Client, request: bytes, rate_hz: float, seconds: float) -> list[Sample]:
    """Send a request at a fixed rate for some time; return a sample for each, in order."""
    loop = asyncio.get_running_loop()
    begun = loop.time()

    async def one(intended: float) -> Sample:
        sent = loop.time()
        status, _ = await client.ask(request)
        return Sample(intended, sent, loop.time(), status)

    async with asyncio.TaskGroup() as group:
        tasks = []
        for number in range(round(rate_hz * seconds)):
            intended = begun + number / rate_hz
            # Late or not, each request is sent: none is left out because the last one took long.
            await asyncio.sleep(max(0.0, intended - loop.time()))
            tasks.append(group.create_task(one(intended)))
    return [task.result() for task in tasks]


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): text.strip() for name, _, text in (x.partition(":") for x in lines)}
    if "content-length" not in headers:
        raise OSError(f"the answer has no Content-Length: {head!r}")
    return int(status.split()[1]), await reader.readexactly(int(headers["content-length"]))
