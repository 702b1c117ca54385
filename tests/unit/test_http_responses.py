"""What goes in and out of a handler: limits of a request, and the framing of a response."""

from __future__ import annotations

import asyncio
import gc
import gzip
from typing import TYPE_CHECKING, Any

import pytest
from tornado import web
from tornado.httputil import (
    HTTPHeaders,
    HTTPOutputError,
    HTTPServerRequest,
    ResponseStartLine,
)

from app.server.connection import Connection
from app.server.exchange import Exchange
from app.server.reading import Reader
from tests.http_cases import LAST, Echo, post, request
from tests.http_site import FACTORIES, parse_responses, serving, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=FACTORIES)
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    with asyncio.Runner(loop_factory=FACTORIES[request.param]) as runner:
        yield runner.run


def answering(answer: Callable[[web.RequestHandler], object]) -> web.Application:
    """An application whose answer to GET and POST is a function's."""

    class Handler(web.RequestHandler):
        def get(self) -> None:
            answer(self)

        post = get

    return web.Application([(r".*", Handler)])


# ---- limits


@pytest.mark.parametrize(("size", "status"), [(10, 200), (11, 400)])
def test_limit_of_a_body(run: Run, size: int, status: int) -> None:
    async def scenario() -> None:
        whole = post(b"Content-Length: %d" % size, body=b"x" * size)
        parts = post(b"Transfer-Encoding: chunked", body=b"1\r\nx\r\n" * size + b"0\r\n\r\n")
        async with serving(web.Application([(r"/", Echo)]), max_body_size=10) as site:
            for data in (whole, parts):
                answers = parse_responses(await site.exchange(data + LAST))
                assert answers[0].status == status

    run(scenario())


@pytest.mark.parametrize(("size", "status"), [(20, 200), (21, 400)])
def test_own_limit_of_a_request(run: Run, size: int, status: int) -> None:
    @web.stream_request_body
    class Handler(web.RequestHandler):
        def prepare(self) -> None:
            self.request.connection.set_max_body_size(20)  # type: ignore[union-attr]

        def data_received(self, chunk: bytes) -> None:
            pass

        def post(self) -> None:
            pass

    async def scenario() -> None:
        whole = post(b"Content-Length: %d" % size, body=b"x" * size)
        parts = post(b"Transfer-Encoding: chunked", body=b"1\r\nx\r\n" * size + b"0\r\n\r\n")
        async with serving(web.Application([(r"/", Handler)]), max_body_size=10) as site:
            for data in (whole, parts):
                answers = parse_responses(await site.exchange(data + LAST))
                assert answers[0].status == status

    run(scenario())


@pytest.mark.parametrize("size", [9, 10, 11])
def test_limit_of_an_unpacked_body(run: Run, size: int) -> None:
    async def scenario() -> None:
        packed = gzip.compress(b"x" * size * 1000)
        data = post(b"Content-Encoding: gzip", b"Content-Length: %d" % len(packed), body=packed)
        app = web.Application([(r"/", Echo)])
        async with serving(app, decompress_request=True, max_body_size=10_000) as site:
            answers = parse_responses(await site.exchange(data + LAST))
            assert answers[0].status == (200 if size <= 10 else 400)

    run(scenario())


def test_unpacked_body_and_its_headers(run: Run) -> None:
    seen: list[HTTPHeaders] = []

    def answer(handler: web.RequestHandler) -> None:
        seen.append(handler.request.headers)
        handler.write(handler.request.body)

    async def scenario() -> None:
        packed = gzip.compress(b"abc")
        data = post(b"Content-Encoding: gzip", b"Content-Length: %d" % len(packed), body=packed)
        async with serving(answering(answer), decompress_request=True) as site:
            (first, _) = parse_responses(await site.exchange(data + LAST))
            assert first.body == b"abc"
            assert "Content-Encoding" not in seen[0]
            damaged = post(b"Content-Encoding: gzip", b"Content-Length: 3", body=b"abc")
            assert [r.status for r in parse_responses(await site.exchange(damaged + LAST))] == [400]

    run(scenario())


def test_body_of_a_request_in_flight_is_all_that_is_kept(run: Run) -> None:
    """Nothing of a connection is left when it is gone."""

    async def scenario() -> None:
        async with serving(web.Application([(r"/", Echo)])) as site:
            for _ in range(50):
                await site.exchange(request() * 3 + LAST)
                client = await site.client()
                await client.send(post(b"Content-Length: 9", body=b"abc"))
                client.reset()

    run(scenario())
    assert alive(Connection, Exchange, Reader) == []


def alive(*classes: type) -> list[object]:
    gc.collect()
    return [found for found in gc.get_objects() if type(found) in classes]


# ---- framing of responses


def test_answer_of_unknown_length_is_chunked(run: Run) -> None:
    async def answer(handler: web.RequestHandler) -> None:
        for part in ("", "one", "", "two"):
            handler.write(part)
            await handler.flush()

    class Handler(web.RequestHandler):
        async def get(self) -> None:
            await answer(self)

    async def scenario() -> None:
        async with serving(web.Application([(r".*", Handler)])) as site:
            first, last = parse_responses(await site.exchange(request() + LAST))
            assert first.body == last.body == b"onetwo"
            assert first.values("Transfer-Encoding") == ["chunked"]
            (old,) = parse_responses(await site.exchange(request(b"GET / HTTP/1.0")))
            assert old.body == b"onetwo"
            assert old.values("Transfer-Encoding") == []

    run(scenario())


@pytest.mark.parametrize(("length", "body"), [("5", b"abc"), ("2", b"abc"), ("0", b"abc")])
def test_wrong_content_length_of_the_application_ends_the_connection(
    run: Run, length: str, body: bytes
) -> None:
    failures: list[Exception] = []

    def answer(request: HTTPServerRequest) -> None:
        connection = request.connection
        assert connection
        headers = HTTPHeaders({"Content-Length": length})
        try:
            connection.write_headers(ResponseStartLine("", 200, "OK"), headers)
            connection.write(body)
            connection.finish()
        except HTTPOutputError as error:
            failures.append(error)

    async def scenario() -> None:
        async with serving(answer) as site:
            answers = await site.exchange(request() + LAST)
            assert answers.count(b"HTTP/1.1") == 1
            assert len(answers.split(b"\r\n\r\n")[1]) <= int(length), "the next answer stays apart"
        assert len(failures) == 1

    run(scenario())


@pytest.mark.parametrize("length", ["-1", "abc", "1_0", "+1", "1, 1", "\xb2", ""])
def test_content_length_of_the_application_that_is_no_number(run: Run, length: str) -> None:
    def answer(handler: web.RequestHandler) -> None:
        handler.set_header("Content-Length", length)
        handler.write("abc")

    async def scenario() -> None:
        async with serving(answering(answer), is_clean=False) as site:
            answer_bytes = await site.exchange(LAST)
            assert b"abc" not in answer_bytes
            assert any("ValueError" in fault for fault in site.faults)

    run(scenario())


@pytest.mark.parametrize("value", ["a\r\nX: b", "a\nX: b", "a\rX: b", "a\r\n\r\n<p>", "a\0b", "\n"])
@pytest.mark.parametrize("place", ["value", "name", "reason", "cookie-like"])
def test_header_injection_by_the_application_is_refused(run: Run, place: str, value: str) -> None:
    failures: list[Exception] = []

    def answer(request: HTTPServerRequest) -> None:
        connection = request.connection
        assert connection
        headers = HTTPHeaders({"Content-Length": "0"})
        reason = value if place == "reason" else "OK"
        if place == "value":
            headers["Y"] = value
        elif place == "name":
            headers._as_list[value] = ["y"]
        elif place == "cookie-like":
            headers._as_list["Set-Cookie"] = ["a=b", value]
        try:
            connection.write_headers(ResponseStartLine("", 200, reason), headers)
        except ValueError as error:
            failures.append(error)
            connection.write_headers(
                ResponseStartLine("", 500, "Oh"), HTTPHeaders({"Content-Length": "0"})
            )
        connection.finish()

    async def scenario() -> None:
        async with serving(answer) as site:
            (only,) = parse_responses(await site.exchange(LAST))
            assert only.status == 500
            assert [name for name, _ in only.fields] == ["Content-Length", "Connection"]
        assert len(failures) == 1

    run(scenario())


def test_no_keep_alive(run: Run) -> None:
    async def scenario() -> None:
        async with serving(web.Application([(r".*", Echo)]), no_keep_alive=True) as site:
            (only,) = parse_responses(await site.exchange(request() + request()))
            assert only.values("Connection") == ["close"]

    run(scenario())


@pytest.mark.parametrize(
    ("line", "fields", "connection"),
    [
        (b"GET / HTTP/1.1", (), []),
        (b"GET / HTTP/1.1", (b"Connection: close",), ["close"]),
        (b"GET / HTTP/1.0", (), []),
        (b"GET / HTTP/1.0", (b"Connection: keep-alive",), ["Keep-Alive"]),
    ],
)
def test_connection_option_of_an_answer(
    run: Run, line: bytes, fields: tuple[bytes, ...], connection: list[str]
) -> None:
    async def scenario() -> None:
        async with serving(web.Application([(r".*", Echo)])) as site:
            client = await site.client()
            await client.send(request(line, *fields))
            assert (await client.response()).values("Connection") == connection

    run(scenario())


# ---- who the client is


@pytest.mark.parametrize(
    ("fields", "client"),
    [
        ((), "127.0.0.1 http"),
        ((b"X-Real-IP: 4.4.4.4",), "4.4.4.4 http"),
        ((b"X-Real-IP: ::1",), "::1 http"),
        ((b"X-Real-IP: 4.4.4.4", b"X-Real-IP: 5.5.5.5"), "127.0.0.1 http"),
        ((b"X-Real-IP: a\xe9",), "127.0.0.1 http"),
        ((b"X-Real-IP: " + b"4" * 4000,), "127.0.0.1 http"),
        ((b"X-Real-IP: 4.4.4.4<script>",), "127.0.0.1 http"),
        ((b"X-Forwarded-For: 4.4.4.4, 5.5.5.5",), "5.5.5.5 http"),
        ((b"X-Forwarded-For: 4.4.4.4, 9.9.9.9, 8.8.8.8",), "4.4.4.4 http"),
        ((b"X-Forwarded-For: 9.9.9.9",), "9.9.9.9 http"),
        ((b"X-Forwarded-For: ,,",), "127.0.0.1 http"),
        ((b"X-Real-IP: 4.4.4.4", b"X-Forwarded-For: 5.5.5.5"), "4.4.4.4 http"),
        ((b"X-Scheme: https",), "127.0.0.1 https"),
        ((b"X-Forwarded-Proto: http, https",), "127.0.0.1 https"),
        ((b"X-Forwarded-Proto: javascript",), "127.0.0.1 http"),
    ],
)
def test_client_that_a_proxy_names(run: Run, fields: tuple[bytes, ...], client: str) -> None:
    def answer(handler: web.RequestHandler) -> None:
        handler.write(f"{handler.request.remote_ip} {handler.request.protocol}")

    async def scenario() -> None:
        trusted = ["9.9.9.9", "8.8.8.8"]
        async with serving(answering(answer), xheaders=True, trusted_downstream=trusted) as site:
            first, last = parse_responses(
                await site.exchange(request(b"GET / HTTP/1.1", *fields) + LAST)
            )
            assert first.body.decode() == client
            assert last.body == b"127.0.0.1 http", "one request's client is not the next one's"
        async with serving(answering(answer)) as site:
            first, _ = parse_responses(
                await site.exchange(request(b"GET / HTTP/1.1", *fields) + LAST)
            )
            assert first.body == b"127.0.0.1 http"

    run(scenario())


def test_write_after_the_end_of_an_answer_reaches_nobody_else(run: Run) -> None:
    """What a handler writes when its connection was refused and closed is dropped."""
    late: list[asyncio.Future[None]] = []

    def answer(request: HTTPServerRequest) -> None:
        connection = request.connection
        assert connection
        connection.write_headers(ResponseStartLine("", 200, "OK"), HTTPHeaders())
        connection.finish()
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, lambda: late.append(connection.write(b"late")))

    async def scenario() -> None:
        async with serving(answer) as site:
            answer_bytes = await site.exchange(LAST)
            await until(lambda: late, "the late write")
            assert b"late" not in answer_bytes
            assert late[0].exception() is not None

    run(scenario())
