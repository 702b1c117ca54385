"""Order under pipelining, and memory that stays bounded whoever is the slower."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING

import pytest
from tornado import web
from tornado.iostream import StreamClosedError

from tests.http_cases import LAST, post, request
from tests.http_site import FACTORIES, Site, parse_responses, serving, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from typing import Any

    from app.server.connection import Connection

    Run = Callable[[Coroutine[Any, Any, None]], None]

MIB = 1 << 20


@pytest.fixture(params=FACTORIES)
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    with asyncio.Runner(loop_factory=FACTORIES[request.param]) as runner:
        yield runner.run


class Turns(web.RequestHandler):
    """Answers after some turns of the event loop; notes how many are at work at once."""

    at_work = most_at_work = 0

    async def get(self, turns: str) -> None:
        cls = type(self)
        cls.at_work += 1
        cls.most_at_work = max(cls.most_at_work, cls.at_work)
        for _ in range(int(turns)):
            await asyncio.sleep(0)
        cls.at_work -= 1
        self.write(self.request.uri or "")


def test_pipelined_answers_keep_their_order(run: Run) -> None:
    async def client(site: Site, seed: int) -> None:
        picker = random.Random(seed)
        targets = [f"/{picker.randrange(8)}?{seed}.{number}" for number in range(40)]
        data = b"".join(request(f"GET {target} HTTP/1.1".encode()) for target in targets) + LAST
        cuts = sorted(picker.choices(range(len(data)), k=20))
        pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        answer = await site.exchange(*pieces)
        bodies = [response.body.decode() for response in parse_responses(answer)]
        assert bodies[:-1] == targets

    async def scenario() -> None:
        Turns.at_work = Turns.most_at_work = 0
        async with serving(web.Application([(r"/(\d)", Turns)])) as site:
            await asyncio.gather(*(client(site, seed) for seed in range(30)))
        assert 1 < Turns.most_at_work <= 30, "one at a time on each connection"

    run(scenario())


def test_waiting_request_begins_only_when_the_one_before_is_answered(run: Run) -> None:
    begun: list[str] = []
    may_end = asyncio.Event()

    class Handler(web.RequestHandler):
        async def get(self) -> None:
            begun.append(self.request.uri or "")
            await may_end.wait()

    async def scenario() -> None:
        async with serving(web.Application([(r"/.", Handler)])) as site:
            client = await site.client()
            await client.send(request(b"GET /1 HTTP/1.1") + request(b"GET /2 HTTP/1.1"))
            await until(lambda: begun, "the first")
            await client.send(request(b"GET /3 HTTP/1.1"))
            for _ in range(20):
                await asyncio.sleep(0)
            assert begun == ["/1"]
            may_end.set()
            for _ in range(3):
                assert (await client.response()).status == 200
        assert begun == ["/1", "/2", "/3"]

    run(scenario())


# ---- clients that do not read


def test_flush_waits_for_a_client_that_does_not_read(run: Run) -> None:
    flushed: list[int] = []

    class Handler(web.RequestHandler):
        async def get(self) -> None:
            for number in range(64):
                self.write(b"x" * MIB)
                await self.flush()
                flushed.append(number)

    async def scenario() -> None:
        async with serving(web.Application([(r"/", Handler)])) as site:
            client = await site.client(receive_buffer_bytes=65536)
            await client.send(request(b"GET / HTTP/1.1", b"Connection: close"))
            (connection,) = await connections(site)
            await until(lambda: connection._write_paused, "pressure")
            for _ in range(200):
                await asyncio.sleep(0)
            done = len(flushed)
            assert done < 16
            assert connection._transport.get_write_buffer_size() < 2 * MIB
            (response,) = parse_responses(await client.rest())
            assert len(response.body) == 64 * MIB
            assert len(flushed) == 64

    run(scenario())


async def connections(site: Site) -> list[Connection]:
    await until(lambda: site.open_connections, "a connection")
    return list(site.server._open)


def test_flush_fails_when_a_client_that_does_not_read_leaves(run: Run) -> None:
    seen: list[str] = []

    class Handler(web.RequestHandler):
        async def get(self) -> None:
            with contextlib.suppress(StreamClosedError):
                while True:
                    self.write(b"x" * MIB)
                    await self.flush()
            seen.append("flush failed")

        def on_connection_close(self) -> None:
            seen.append("left")

    async def scenario() -> None:
        async with serving(web.Application([(r"/", Handler)])) as site:
            client = await site.client(receive_buffer_bytes=65536)
            await client.send(request())
            (connection,) = await connections(site)
            await until(lambda: connection._write_paused, "pressure")
            client.reset()
            await until(lambda: len(seen) == 2, "both")
        assert seen == ["left", "flush failed"]

    run(scenario())


def test_pipelining_client_that_does_not_read_is_not_read(run: Run) -> None:
    """Neither answers nor requests pile up."""

    class Handler(web.RequestHandler):
        async def get(self) -> None:
            self.write(b"x" * MIB)

    async def scenario() -> None:
        async with serving(web.Application([(r"/", Handler)])) as site:
            client = await site.client(receive_buffer_bytes=65536)
            sending = asyncio.create_task(client.send(*[request() * 1000] * 200))
            (connection,) = await connections(site)
            await until(lambda: connection._reading_paused, "the end of reading")
            for _ in range(200):
                await asyncio.sleep(0)
            assert not sending.done(), "TCP holds the client back"
            assert connection._transport.get_write_buffer_size() < 3 * MIB
            assert len(connection._events) < 50_000
            sending.cancel()
            await asyncio.wait([sending])

    run(scenario())


# ---- handlers slower than their client


def test_sender_is_held_back_by_a_slow_handler(run: Run) -> None:
    taken: list[int] = []
    may_take = asyncio.Event()

    @web.stream_request_body
    class Handler(web.RequestHandler):
        def prepare(self) -> None:
            self.request.connection.set_max_body_size(64 * MIB)  # type: ignore[union-attr]

        async def data_received(self, chunk: bytes) -> None:
            taken.append(len(chunk))
            await may_take.wait()

        async def post(self) -> None:
            self.write(str(sum(taken)))

    async def scenario() -> None:
        async with serving(web.Application([(r"/", Handler)]), max_body_size=1000) as site:
            client = await site.client()
            head = post(b"Content-Length: %d" % (64 * MIB))
            sending = asyncio.create_task(client.send(head, *[b"x" * MIB] * 64))
            await until(lambda: taken, "the first part")
            (connection,) = await connections(site)
            for _ in range(500):
                await asyncio.sleep(0)
            assert len(taken) == 1
            assert not sending.done(), "TCP holds the client back"
            held = sum(len(event) for event in connection._events if isinstance(event, bytes))
            assert held <= MIB
            may_take.set()
            await sending
            assert (await client.response()).body == b"%d" % (64 * MIB)
            assert max(taken) <= 65536

    run(scenario())


def test_handler_that_is_slow_to_prepare_holds_the_body_back(run: Run) -> None:
    may_go_on = asyncio.Event()
    seen: list[str] = []

    @web.stream_request_body
    class Handler(web.RequestHandler):
        async def prepare(self) -> None:
            seen.append("prepare")
            await may_go_on.wait()
            seen.append("prepared")

        def data_received(self, chunk: bytes) -> None:
            seen.append(chunk.decode())

        async def post(self) -> None:
            seen.append("post")

    async def scenario() -> None:
        async with serving(web.Application([(r"/", Handler)])) as site:
            client = await site.client()
            await client.send(post(b"Content-Length: 3", body=b"abc") + LAST)
            await until(lambda: seen, "prepare")
            may_go_on.set()
            assert (await client.response()).status == 200
            assert (await client.response()).status == 404
        assert seen == ["prepare", "prepared", "abc", "post"]

    run(scenario())
