"""The engine where Tornado's `HTTPServer` is expected, and its end: draining."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tornado.test
from tornado import web
from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    HTTPServerRequest,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.websocket import WebSocketHandler

from app.server import HTTPServer
from tests.http_cases import LAST, Echo, post, request
from tests.http_site import FACTORIES, parse_responses, serving, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    Run = Callable[[Coroutine[Any, Any, None]], None]

CERTIFICATES = Path(tornado.test.__file__).parent
UPGRADE = (
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: " + base64.b64encode(b"0123456789abcdef"),
)


@pytest.fixture(params=FACTORIES)
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    with asyncio.Runner(loop_factory=FACTORIES[request.param]) as runner:
        yield runner.run


def frame(text: bytes) -> bytes:
    """A masked text frame of a client, with a mask of zeros."""
    return bytes([0x81, 0x80 | len(text)]) + b"\0" * 4 + text


class Mirror(WebSocketHandler):
    """Sends back what it gets."""

    async def on_message(self, message: str | bytes) -> None:
        await self.write_message(f"back: {message!s}")


class Slow(web.RequestHandler):
    """Answers when it may."""

    def initialize(self, may_end: asyncio.Event, begun: list[str]) -> None:
        self.may_end, self.begun = may_end, begun

    async def get(self) -> None:
        self.begun.append(self.request.uri or "")
        await self.may_end.wait()
        self.write("done")

    post = get


def application(may_end: asyncio.Event, begun: list[str]) -> web.Application:
    waits = {"may_end": may_end, "begun": begun}
    return web.Application([(r"/ws", Mirror), (r"/slow", Slow, waits), (r".*", Echo)])


# ---- what may be served, and on what


def test_function(run: Run) -> None:
    def answer(request: HTTPServerRequest) -> None:
        line = ResponseStartLine("HTTP/1.1", 200, "OK")
        body = request.body
        assert request.connection
        request.connection.write_headers(
            line, HTTPHeaders({"Content-Length": str(len(body))}), body
        )
        request.connection.finish()

    async def scenario() -> None:
        async with serving(answer) as site:
            first, last = parse_responses(
                await site.exchange(post(b"Content-Length: 3", body=b"abc") + LAST)
            )
            assert (first.body, last.body) == (b"abc", b"")

    run(scenario())


class Told(HTTPServerConnectionDelegate, HTTPMessageDelegate):
    """A delegate for one request at a time that keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:  # noqa: ANN401, ARG002
        self.connection = request_conn
        return self

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> None:  # noqa: ANN401, ARG002
        assert isinstance(start_line, RequestStartLine)
        self.calls.append(start_line.path)

    def data_received(self, chunk: bytes) -> None:
        self.calls.append(chunk)

    def finish(self) -> None:
        self.calls.append("finish")
        self.connection.write_headers(
            ResponseStartLine("HTTP/1.1", 200, "OK"), HTTPHeaders({"Content-Length": "0"})
        )
        self.connection.finish()

    def on_connection_close(self) -> None:
        self.calls.append("close")


def test_delegate(run: Run) -> None:
    async def scenario() -> None:
        told = Told()
        async with serving(told) as site:
            await site.exchange(post(b"Content-Length: 3", body=b"abc") + LAST)
            client = await site.client()
            await client.send(post(b"Content-Length: 3"))
            await until(lambda: len(told.calls) == 6, "the head")
            client.close()
        assert told.calls == ["/", b"abc", "finish", "/last", "finish", "/", "close"]

    run(scenario())


def test_delegate_that_fails(run: Run) -> None:
    class Failing(Told):
        def __init__(self, where: str) -> None:
            super().__init__()
            self.where = where

        def fail(self, where: str) -> None:
            if where == self.where:
                raise RuntimeError(where)

        def headers_received(self, start_line: Any, headers: HTTPHeaders) -> None:  # noqa: ANN401
            super().headers_received(start_line, headers)
            self.fail("headers")

        def data_received(self, chunk: bytes) -> None:
            super().data_received(chunk)
            self.fail("data")

        def finish(self) -> None:
            self.fail("finish")
            super().finish()

    async def scenario() -> None:
        for where in ("headers", "data", "finish"):
            told = Failing(where)
            async with serving(told, is_clean=False) as site:
                answer = await site.exchange(post(b"Content-Length: 3", body=b"abc") + LAST)
                assert answer == b""
                assert len(site.faults) == 1
                assert where in site.faults[0]
            assert told.calls.count("close") == 1

    run(scenario())


def test_unix_socket(run: Run, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")

    class Handler(web.RequestHandler):
        def get(self) -> None:
            self.write(self.request.remote_ip or "")

    async def scenario() -> None:
        async with serving(web.Application([(r".*", Handler)]), path=path) as site:
            first, _ = parse_responses(await site.exchange(request() + LAST))
            assert first.body == b"0.0.0.0"

    run(scenario())
    assert Path(path).exists(), "who bound the socket removes it"


@pytest.mark.parametrize("path", ["site.sock", None], ids=["unix", "tcp"])
def test_many_may_wait_while_the_event_loop_is_busy(
    run: Run, tmp_path: Path, path: str | None
) -> None:
    """A loop that is busy for a moment must not have the kernel refuse clients meanwhile."""

    async def scenario() -> None:
        async with serving(web.Application([]), path=path and str(tmp_path / path)) as site:
            await (await site.client()).send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            family = socket.AF_UNIX if path else socket.AF_INET
            waiting = [socket.socket(family) for _ in range(400)]
            for client in waiting:  # the loop does not turn here, so nothing is accepted
                client.settimeout(0.5)
                client.connect(site.address)
            for client in waiting:
                client.close()

    run(scenario())


def test_tls_is_stock_tornados(run: Run) -> None:
    async def scenario() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATES / "test.crt", CERTIFICATES / "test.key")
        server = HTTPServer(web.Application([(r".*", Echo)]), ssl_options=context)
        (listener,) = tornado.netutil.bind_sockets(0, "127.0.0.1")
        server.add_sockets([listener])
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(*listener.getsockname(), ssl=trusting)
        writer.write(LAST)
        (only,) = parse_responses(await reader.read())
        assert only.body == b"GET /last HTTP/1.1 b''"
        writer.close()
        await writer.wait_closed()
        server.stop()
        await server.close_all_connections()

    run(scenario())


def test_detached_socket(run: Run) -> None:
    class Handler(web.RequestHandler):
        async def get(self) -> None:
            stream = self.detach()
            await stream.write(b"mine now\n")
            await stream.write((await stream.read_until(b"\n")).upper())
            stream.close()

    async def scenario() -> None:
        async with serving(web.Application([(r".*", Handler)])) as site:
            client = await site.client()
            await client.send(request())
            assert await client.read_until(b"\n") == b"mine now\n"
            await client.send(b"hello\n")
            assert await client.rest() == b"HELLO\n"

    run(scenario())


def test_websocket_with_frames_on_the_heels_of_its_handshake(run: Run) -> None:
    async def scenario() -> None:
        async with serving(application(asyncio.Event(), [])) as site:
            data = request(b"GET /ws HTTP/1.1", *UPGRADE) + frame(b"one") + frame(b"two")
            for step in (len(data), 1, 7):
                client = await site.client()
                await client.send(*[data[at : at + step] for at in range(0, len(data), step)])
                head = await client.read_until(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 101 ")
                await client.read_until(b"back: one")
                await client.read_until(b"back: two")

    run(scenario())


def test_websocket_after_a_request_that_is_still_at_work(run: Run) -> None:
    """The bytes after the handshake wait with it, however they arrive."""

    async def scenario() -> None:
        may_end, begun = asyncio.Event(), list[str]()
        async with serving(application(may_end, begun)) as site:
            client = await site.client()
            await client.send(request(b"GET /slow HTTP/1.1"))
            await client.send(request(b"GET /ws HTTP/1.1", *UPGRADE), frame(b"one"), frame(b"two"))
            await until(lambda: begun, "the first request")
            may_end.set()
            assert (await client.response()).body == b"done"
            assert (await client.read_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            await client.read_until(b"back: one")
            await client.read_until(b"back: two")

    run(scenario())


# ---- draining


def test_drain_of_nothing(run: Run) -> None:
    async def scenario() -> None:
        async with serving(web.Application()) as site:
            assert await site.server.drain(5) == 0
            with pytest.raises(ConnectionRefusedError):
                await site.client()

    run(scenario())


def test_drain_ends_connections_at_their_next_answer(run: Run) -> None:
    async def scenario() -> None:
        may_end, begun = asyncio.Event(), list[str]()
        async with serving(application(may_end, begun)) as site:
            working, idle = await site.client(), await site.client()
            await idle.send(request())
            assert (await idle.response()).values("Connection") == []
            await working.send(request(b"GET /slow HTTP/1.1"))
            await until(lambda: begun, "the handler")
            draining = asyncio.create_task(site.server.drain(10))
            await until(lambda: site.server.is_draining, "draining")
            may_end.set()
            response = await working.response()
            assert (response.body, response.values("Connection")) == (b"done", ["close"])
            assert await working.rest() == b""
            working.close()
            assert not draining.done(), "an idle connection is its client's to end"
            await idle.send(request())
            assert (await idle.response()).values("Connection") == ["close"]
            assert await idle.rest() == b""
            idle.close()
            assert await draining == 0

    run(scenario())


def test_drain_cuts_what_does_not_end_in_time(run: Run) -> None:
    async def scenario() -> None:
        may_end, begun = asyncio.Event(), list[str]()
        async with serving(application(may_end, begun)) as site:
            working, idle = await site.client(), await site.client()
            await idle.send(request())
            await idle.response()
            await working.send(request(b"GET /slow HTTP/1.1"))
            await until(lambda: begun, "the handler")
            assert await site.server.drain(0.05) == 2
            assert await idle.rest() == await working.rest() == b""
            may_end.set()

    run(scenario())


def test_drain_waits_for_a_request_that_stock_tornado_serves(run: Run) -> None:
    async def scenario() -> None:
        may_end, begun = asyncio.Event(), list[str]()
        async with serving(application(may_end, begun)) as site:
            client = await site.client()
            await client.send(
                request(b"GET /slow HTTP/1.1", b"Upgrade: h2c", b"Connection: Upgrade")
            )
            await until(lambda: begun, "the handler")
            draining = asyncio.create_task(site.server.drain(10))
            await until(lambda: site.server.is_draining, "draining")
            for _ in range(20):
                await asyncio.sleep(0)
            assert not draining.done()
            may_end.set()
            assert (await client.response()).body == b"done"
            client.close()
            assert await draining == 0

    run(scenario())


def test_drain_gives_a_websocket_its_time(run: Run) -> None:
    async def scenario() -> None:
        async with serving(application(asyncio.Event(), [])) as site:
            client = await site.client()
            await client.send(request(b"GET /ws HTTP/1.1", *UPGRADE))
            await client.read_until(b"\r\n\r\n")
            draining = asyncio.create_task(site.server.drain(10))
            await until(lambda: site.server.is_draining, "draining")
            await client.send(frame(b"still here"))
            await client.read_until(b"back: still here")
            assert not draining.done()
            client.close()
            assert await draining == 0

    run(scenario())


def test_drain_cuts_a_websocket_that_takes_longer(run: Run) -> None:
    async def scenario() -> None:
        async with serving(application(asyncio.Event(), [])) as site:
            client = await site.client()
            await client.send(request(b"GET /ws HTTP/1.1", *UPGRADE))
            await client.read_until(b"\r\n\r\n")
            assert await site.server.drain(0.05) == 1
            assert await client.rest() == b""

    run(scenario())
