"""The HTTP engine without a network: bytes of requests in, bytes of responses out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.server import HTTPServer
from app.server.connection import Connection
from app.server.reading import Reader
from benchmarks.micro.service import application
from benchmarks.micro.sink import Sink, event_loop
from benchmarks.micro.work import WrongResultError, expect

if TYPE_CHECKING:
    from benchmarks.micro.work import Work

_HEADERS = (
    b"Host: service.example\r\n"
    b"X-Real-IP: 192.0.2.1\r\n"
    b"X-Forwarded-Proto: https\r\n"
    b"X-Request-ID: 0123456789abcdef0123456789abcdef\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    b"Accept-Language: en-GB,en;q=0.5\r\n"
    b"Accept-Encoding: gzip, deflate\r\n"
)
_BODY = b'{"expression": "0.1 + 0.2"}'
_POST = (
    b"POST /calculator HTTP/1.1\r\n" + _HEADERS + b"Content-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)
_TIMES = 3
_MOST_TURNS = 1000


def _get(path: str) -> bytes:
    return b"GET %b HTTP/1.1\r\n%b\r\n" % (path.encode(), _HEADERS)


_SIGNS = {
    _get("/health"): b"OK\n",
    _get("/metadata"): b'"last_commit_sha"',
    _POST: b'"0.3"',
}
"""Requests, and what the answer to each holds."""


def parse() -> Work:
    """Read requests with and without a body, whole and in two pieces."""
    reader = Reader(65536, 100)
    get = _get("/productionplan?details=yes")
    middle = len(_POST) // 2

    def work() -> int:
        events = 0
        for _ in range(_TIMES):
            events += len(reader.feed(get))
            events += len(reader.feed(_POST))
            events += len(reader.feed(_POST[:middle]))
            events += len(reader.feed(_POST[middle:]))
        return events

    # Head and end; with a body, that as well.
    expect(work() == _TIMES * (2 + 3 + 3), "requests were not read as they were sent")
    return work


def respond() -> Work:
    """Answer requests by a shortcut and by a handler."""
    loop = event_loop()
    sink = Sink()

    async def connected() -> Connection:
        server = HTTPServer(application(), xheaders=True)
        server.done = loop.create_future()
        server.done.set_result(None)
        made = Connection(server, loop)
        made.connection_made(sink)
        return made

    connection = loop.run_until_complete(connected())

    async def ask(request: bytes) -> None:
        answered = sink.writes + 1
        connection.data_received(request)
        for _ in range(_MOST_TURNS):
            if sink.writes >= answered:
                return
            await asyncio.sleep(0)
        raise WrongResultError("a request was not answered")

    async def ask_all() -> None:
        for _ in range(_TIMES):
            for request in _SIGNS:
                await ask(request)

    for request, sign in _SIGNS.items():
        loop.run_until_complete(ask(request))
        expect(sink.last.startswith(b"HTTP/1.1 200") and sign in sink.last, repr(sink.last[:200]))
    return lambda: loop.run_until_complete(ask_all())
