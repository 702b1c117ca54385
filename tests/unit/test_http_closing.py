"""The ends of connections: clients that leave, times that run out, last answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tornado import web

from tests.http_cases import LAST, post, request
from tests.http_site import FACTORIES, Client, parse_responses, serving, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    Run = Callable[[Coroutine[Any, Any, None]], None]

MIB = 1 << 20


@pytest.fixture(params=FACTORIES)
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    with asyncio.Runner(loop_factory=FACTORIES[request.param]) as runner:
        yield runner.run


class Seen(list[str]):
    """What a handler was told, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.may_end = asyncio.Event()


class Working(web.RequestHandler):
    """Works until it may end."""

    def initialize(self, seen: Seen) -> None:
        self.seen = seen

    async def get(self) -> None:
        self.seen.append("begin")
        await self.seen.may_end.wait()
        self.write("done")

    post = get

    def on_connection_close(self) -> None:
        self.seen.append("left")
        super().on_connection_close()

    def on_finish(self) -> None:
        self.seen.append("finish")


@web.stream_request_body
class Uploading(Working):
    """Takes a body in parts."""

    def data_received(self, chunk: bytes) -> None:  # noqa: ARG002
        self.seen.append("part")


def application(seen: Seen) -> web.Application:
    return web.Application([(r"/", Working, {"seen": seen}), (r"/up", Uploading, {"seen": seen})])


@pytest.mark.parametrize("how", ["close", "reset", "shut_down"])
def test_client_that_leaves_a_working_handler(run: Run, how: str) -> None:
    async def scenario() -> None:
        seen = Seen()
        async with serving(application(seen)) as site:
            client = await site.client()
            await client.send(request())
            await until(lambda: seen, "the handler")
            getattr(client, how)()
            await until(lambda: len(seen) > 1, "word of it")
            await until(lambda: not site.open_connections, "the connection's end")
            seen.may_end.set()
            await until(lambda: len(seen) > 2, "the handler's end")
        assert seen == ["begin", "left", "finish"]

    run(scenario())


@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_that_leaves_within_its_body(run: Run, how: str) -> None:
    async def scenario() -> None:
        seen = Seen()
        async with serving(application(seen)) as site:
            client = await site.client()
            await client.send(request(b"POST /up HTTP/1.1", b"Content-Length: 9", body=b"abc"))
            await until(lambda: seen, "the handler")
            getattr(client, how)()
            await until(lambda: not site.open_connections, "the connection's end")
        assert seen == ["part", "left"]

    run(scenario())


def test_client_that_leaves_after_its_answer(run: Run) -> None:
    async def scenario() -> None:
        seen = Seen()
        seen.may_end.set()
        async with serving(application(seen)) as site:
            client = await site.client()
            await client.send(request())
            assert (await client.response()).body == b"done"
            client.close()
            await until(lambda: not site.open_connections, "the connection's end")
        assert seen == ["begin", "finish"]

    run(scenario())


def test_body_that_is_refused_while_its_handler_works(run: Run) -> None:
    """The handler is told once, and what it writes later goes nowhere."""

    @web.stream_request_body
    class Handler(Working):
        async def prepare(self) -> None:
            asyncio.get_running_loop().call_soon(asyncio.ensure_future, self.work())

        async def work(self) -> None:
            await self.seen.may_end.wait()
            self.write("late")
            self.finish()

        def data_received(self, chunk: bytes) -> None:  # noqa: ARG002
            self.seen.append("part")

    async def scenario() -> None:
        seen = Seen()
        async with serving(web.Application([(r"/", Handler, {"seen": seen})])) as site:
            client = await site.client()
            await client.send(post(b"Transfer-Encoding: chunked", body=b"1\r\na\r\n"))
            await until(lambda: seen, "the part")
            await client.send(b"no size\r\n")
            assert (await client.read_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
            seen.may_end.set()
            await until(lambda: "finish" in seen, "the handler's end")
            assert await client.rest() == b""
        assert seen == ["part", "left", "finish"]

    run(scenario())


# ---- times


def test_time_for_a_head(run: Run) -> None:
    async def scenario() -> None:
        async with serving(web.Application(), header_timeout=0.1) as site:
            assert await site.exchange(b"GET / HT") == b""
            client = await site.client()
            await client.send(request())
            assert (await client.response()).status == 404
            await client.send(b"GET")
            assert await client.rest() == b""

    run(scenario())


def test_head_that_trickles_in_has_no_more_time(run: Run) -> None:
    async def scenario() -> None:
        async with serving(web.Application(), header_timeout=0.2) as site:
            client = await site.client()
            sending = asyncio.create_task(trickle(client))
            assert await client.rest() == b""
            sending.cancel()
            await asyncio.wait([sending])

    async def trickle(client: Client) -> None:
        await client.send(b"GET / HTTP/1.1\r\nX: ")
        while not client.was_reset:
            await client.send(b"x")
            await asyncio.sleep(0.01)

    run(scenario())


def test_time_for_a_body(run: Run) -> None:
    async def scenario() -> None:
        seen = Seen()
        async with serving(application(seen), body_timeout=0.1) as site:
            data = request(b"POST /up HTTP/1.1", b"Content-Length: 9", body=b"abc")
            assert await site.exchange(data) == b""
        assert seen == ["part", "left"]

    run(scenario())


def test_own_time_for_a_body(run: Run) -> None:
    class Handler(Uploading):
        def prepare(self) -> None:
            self.request.connection.set_body_timeout(0.1)  # type: ignore[union-attr]

    async def scenario() -> None:
        seen = Seen()
        async with serving(web.Application([(r"/", Handler, {"seen": seen})])) as site:
            assert await site.exchange(post(b"Content-Length: 9", body=b"abc")) == b""
        assert seen == ["part", "left"]

    run(scenario())


def test_time_for_a_body_is_not_the_handlers(run: Run) -> None:
    async def scenario() -> None:
        seen = Seen()
        async with serving(application(seen), body_timeout=0.05) as site:
            client = await site.client()
            await client.send(post(b"Content-Length: 3", body=b"abc"))
            await asyncio.sleep(0.15)
            seen.may_end.set()
            assert (await client.response()).body == b"done"

    run(scenario())


def test_idle_time(run: Run) -> None:
    async def scenario() -> None:
        async with serving(web.Application(), idle_connection_timeout=0.1) as site:
            assert await site.exchange() == b""
            client = await site.client()
            await client.send(request())
            assert (await client.response()).status == 404
            assert await client.rest() == b""

    run(scenario())


def test_idle_time_is_not_the_handlers(run: Run) -> None:
    async def scenario() -> None:
        seen = Seen()
        async with serving(application(seen), idle_connection_timeout=0.05) as site:
            client = await site.client()
            await client.send(request())
            await asyncio.sleep(0.15)
            seen.may_end.set()
            assert (await client.response()).body == b"done"

    run(scenario())


# ---- the last answer


class Large(web.RequestHandler):
    """More than the network takes at once."""

    def get(self) -> None:
        self.write(b"x" * 16 * MIB)


@pytest.mark.parametrize("option", [b"Connection: close", b"X: y"])
def test_slow_client_gets_the_whole_of_its_last_answer(
    run: Run, option: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that takes its time, but goes on taking, is not cut off."""
    monkeypatch.setattr("app.server.connection._LINGER_S", 0.1)

    async def scenario() -> None:
        app = web.Application([(r"/", Large)])
        async with serving(app, idle_connection_timeout=1.0) as site:
            client = await site.client(receive_buffer_bytes=65536)
            await client.send(request(b"GET / HTTP/1.1", option))
            while len(client.received) < 8 * MIB:
                await asyncio.sleep(0.002)
                await client.receive()
            (response,) = parse_responses(await client.rest())
            assert len(response.body) == 16 * MIB

    run(scenario())


def test_client_that_takes_nothing_of_its_last_answer_is_cut_off(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.server.connection._LINGER_S", 0.05)

    async def scenario() -> None:
        app = web.Application([(r"/", Large)])
        async with serving(app, idle_connection_timeout=0.3) as site:
            client = await site.client(receive_buffer_bytes=65536)
            await client.send(request(b"GET / HTTP/1.1", b"Connection: close"))
            await until(lambda: site.open_connections, "the connection")
            await until(lambda: not site.open_connections, "its end")

    run(scenario())


def test_answer_to_a_large_upload_arrives_before_its_end(run: Run) -> None:
    """The rest of the upload is passed over for a while, so that no reset outruns the answer."""

    @web.stream_request_body
    class Handler(web.RequestHandler):
        def prepare(self) -> None:
            self.set_status(413)
            self.finish("too much")

        def data_received(self, chunk: bytes) -> None:  # noqa: ARG002
            pytest.fail("the handler has answered")

    async def scenario() -> None:
        async with serving(web.Application([(r"/", Handler)])) as site:
            client = await site.client()
            head = post(b"Content-Length: %d" % (8 * MIB))
            await client.send(head, *[b"x" * MIB] * 8)
            assert not client.was_reset
            (response,) = parse_responses(await client.rest())
            assert (response.status, response.body) == (413, b"too much")

    run(scenario())


def test_client_that_sends_on_after_its_last_answer_is_cut_off(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.server.connection._LINGER_S", 0.1)

    async def scenario() -> None:
        async with serving(web.Application()) as site:
            client = await site.client()
            await client.send(LAST)
            parse_responses(await client.rest())
            while site.open_connections:
                await client.send(b"x")
                await asyncio.sleep(0.005)

    run(scenario())
