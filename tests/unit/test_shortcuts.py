"""Requests answered without a handler, and those that go on to one."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from tornado import web
from tornado.netutil import bind_sockets

from app.config import Sources, load
from app.identity import Identity
from app.planning.desk import PlanningDesk
from app.server import Application, StockServer
from app.server.connection import Connection
from app.telemetry import station
from app.telemetry.memory import Memory, Origin
from app.telemetry.meter import Meter
from app.telemetry.station import Station
from app.telemetry.totals import add_up
from app.web.application import make_application
from tests.http_site import parse_responses, serving, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tornado.httputil import HTTPConnection, HTTPHeaders, RequestStartLine

    from tests.http_site import Response, Site


class Echoing:
    """A shortcut that answers with the body, unless told to leave it to the handler."""

    def __init__(self, *, answers: bool) -> None:
        self._answers = answers
        self.asked: list[bytes] = []

    def takes(self, start_line: RequestStartLine, headers: HTTPHeaders) -> bool:  # noqa: ARG002
        return start_line.method == "POST"

    def answer(
        self,
        connection: HTTPConnection,
        start_line: RequestStartLine,  # noqa: ARG002
        headers: HTTPHeaders,  # noqa: ARG002
        body: bytes,
    ) -> bool:
        self.asked.append(body)
        if self._answers:
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % (len(body) + 9)
            connection.respond(head, b"shortcut " + body)  # type: ignore[attr-defined]
        return self._answers


class Handler(web.RequestHandler):
    """Says that it was asked."""

    def get(self) -> None:
        self.write("handler")

    def post(self) -> None:
        self.write(b"handler " + self.request.body)


def asked(shortcut: Echoing, method: str, body: bytes) -> Response:
    """The answer to a request whose body comes byte by byte."""

    async def ask() -> bytes:
        application = Application([web.url("/at", Handler)], shortcuts={"/at": shortcut})
        async with serving(application) as site:
            head = f"{method} /at HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            if body:
                head += f"Content-Length: {len(body)}\r\n"
            pieces = [bytes([byte]) for byte in body]
            return await site.exchange(head.encode() + b"\r\n", *pieces)

    return parse_responses(asyncio.run(ask()))[0]


def test_a_shortcut_gets_the_whole_body_and_answers() -> None:
    shortcut = Echoing(answers=True)
    assert asked(shortcut, "POST", b"abc").body == b"shortcut abc"
    assert shortcut.asked == [b"abc"]


def test_a_handler_gets_what_a_shortcut_leaves_with_its_body() -> None:
    shortcut = Echoing(answers=False)
    assert asked(shortcut, "POST", b"abc").body == b"handler abc"
    assert shortcut.asked == [b"abc"]


def test_a_handler_gets_what_a_shortcut_does_not_take() -> None:
    shortcut = Echoing(answers=True)
    assert asked(shortcut, "GET", b"").body == b"handler"
    assert shortcut.asked == []


# ---- handlers at a plain path


@web.stream_request_body
class Streaming(web.RequestHandler):
    """Takes its body in parts."""

    def initialize(self) -> None:
        self.parts: list[bytes] = []

    def data_received(self, chunk: bytes) -> None:
        self.parts.append(chunk)

    def post(self) -> None:
        self.write({"parts": len(self.parts), "length": sum(map(len, self.parts))})


class Failing(web.RequestHandler):
    """Fails, and its log too."""

    def post(self) -> None:
        raise ValueError("broken handler")

    def log_exception(self, *_: Any) -> None:  # noqa: ANN401
        raise ValueError("broken log")


async def post(site: Site, path: str, *body: bytes) -> Response:
    length = sum(map(len, body))
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}"
    kind = "Content-Type: application/x-www-form-urlencoded"
    answer = await site.exchange(f"{head}\r\n{kind}\r\n\r\n".encode(), *body)
    return parse_responses(answer, ["POST"])[0]


def test_a_handler_that_streams_gets_its_body_in_parts() -> None:
    async def scenario() -> None:
        async with serving(Application([web.url("/stream", Streaming)])) as site:
            answer = await post(site, "/stream", b"a" * 1000, b"b" * 1000)
            assert json.loads(answer.body)["length"] == 2000
            assert json.loads(answer.body)["parts"] >= 2

    asyncio.run(scenario())


def test_a_handler_that_fails_is_not_lost_in_silence() -> None:
    async def scenario() -> None:
        application = Application([web.url("/fail", Failing)])
        async with serving(application, is_clean=False) as site:
            client = await site.client()
            await client.send(b"POST /fail HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
            await until(lambda: "broken log" in "".join(site.faults), "the fault in the log")

    asyncio.run(scenario())


# ---- those of the service


class Deaf:
    """Redis that nobody may ask."""

    async def _refuse(self) -> Any:  # noqa: ANN401
        raise AssertionError("Redis was asked")

    count_visit = visits = ping = _refuse


class Plans(PlanningDesk):
    """A desk that counts, and fails when told to."""

    def __init__(self) -> None:
        super().__init__(co2=True, processes=1, queue=0, deadline_s=5)
        self.at_once = 0
        self.fault: Exception | None = None

    def answer_at_once(self, body: bytes, *, details: bool) -> bytes | None:
        self.at_once += 1
        if self.fault is not None:
            raise self.fault
        return super().answer_at_once(body, details=details)


@pytest.fixture(params=["windlass", "stock"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def plans() -> Plans:
    return Plans()


@pytest.fixture
def ask(engine: str, plans: Plans) -> Callable[..., Response]:
    settings = load(Sources({"ENVIRONMENT": "TEST", "ACCESS_LOG": "no"}, None))
    identity = Identity("1.0.0", "0" * 40, "release")

    async def exchange(request: bytes, *, is_clean: bool) -> bytes:
        application = make_application(settings, identity, Deaf(), plans, lambda: False)
        if engine == "stock":
            return await _of_stock(application, request)
        async with serving(application, is_clean=is_clean) as site:
            return await site.exchange(request)

    def ask(
        method: str, target: str, body: bytes = b"", *, is_clean: bool = True, **fields: str
    ) -> Response:
        lines = [f"{method} {target} HTTP/1.1", "Host: a", "Connection: close"]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        request = "\r\n".join([*lines, "", ""]).encode() + body
        answer = asyncio.run(exchange(request, is_clean=is_clean))
        return parse_responses(answer, [method])[0]

    return ask


async def _of_stock(application: web.Application, request: bytes) -> bytes:
    listeners = bind_sockets(0, "127.0.0.1")
    server = StockServer(application, max_body_bytes=1_000_000, behind_proxy=False)
    server.add_sockets(listeners)
    reader, writer = await asyncio.open_connection(*listeners[0].getsockname())
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await server.drain(1)
    return answer


def names(answer: Response) -> set[str]:
    return {name.lower() for name, _ in answer.fields}


@pytest.fixture
def leaving(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many requests were counted at each time that an answer, or a part, was written."""
    memory = Memory.make()
    region = memory.free(frozenset())
    assert region is not None
    region.assign(1)
    region.sign(Origin("worker", 0, 1, 1.0, "1", "c", "r"))
    found: list[int] = []
    send = Connection.send

    def watched(connection: Connection, data: bytes) -> asyncio.Future[None]:
        found.append(int(sum(add_up(memory.read()).requests().values())))
        return send(connection, data)

    monkeypatch.setattr(Connection, "send", watched)
    before = station.installed()
    station.install(Station(Meter(region), memory))
    yield found
    station.install(before)
    os.close(memory.descriptor)


@pytest.mark.parametrize("engine", ["windlass"], indirect=True)
@pytest.mark.parametrize("target", ["/health", "/calculator?expression=1/3", "/docs", "/nowhere"])
def test_request_is_counted_before_its_answer_leaves(
    leaving: list[int], ask: Callable[..., Response], target: str
) -> None:
    """Whoever has an answer is counted, though the worker be killed in that moment."""
    assert ask("GET", target).body
    assert leaving == [1] * len(leaving) != []


@pytest.mark.parametrize("name", ["payload1", "payload2", "payload3"])
def test_a_small_plan_is_answered_as_the_handler_would(
    ask: Callable[..., Response], powerplant: Path, name: str
) -> None:
    body = (powerplant / f"{name}.json").read_bytes()
    short = ask("POST", "/productionplan", body, Content_Type="application/json")
    long = ask("POST", "/productionplan?details=false", body, Content_Type="application/json")
    assert (short.status, short.body) == (long.status, long.body)
    assert short.status == 200
    assert names(short) == names(long)
    assert short.values("Content-Type") == long.values("Content-Type")


def test_a_wrong_plan_is_explained(ask: Callable[..., Response], plans: Plans) -> None:
    answer = ask("POST", "/productionplan", b'{"load": "x"}', Content_Type="application/json")
    assert answer.status == 422
    assert "/load" in [error["pointer"] for error in json.loads(answer.body)["errors"]]
    assert plans.at_once == 2, "the shortcut left it to the handler"


def test_an_unforeseen_error_is_answered_as_one(
    ask: Callable[..., Response], plans: Plans, powerplant: Path
) -> None:
    plans.fault = ZeroDivisionError()
    body = (powerplant / "payload1.json").read_bytes()
    answer = ask("POST", "/productionplan", body, is_clean=False, Content_Type="application/json")
    assert answer.status == 500
    assert json.loads(answer.body)["title"] == "Internal Server Error"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/json; charset=utf-8"}, 200),
        ({"Content_Type": "application/json", "X_Request_ID": "given-by-me"}, 200),
    ],
)
def test_what_a_client_says_of_its_body_counts(
    ask: Callable[..., Response], powerplant: Path, fields: dict[str, str], status: int
) -> None:
    body = (powerplant / "payload1.json").read_bytes()
    answer = ask("POST", "/productionplan", body, **fields)
    assert answer.status == status
    if "X_Request_ID" in fields:
        assert answer.values("X-Request-ID") == ["given-by-me"]


@pytest.mark.parametrize("path", ["/health", "/metadata"])
def test_fixed_answers_with_and_without_a_body_in_the_request(
    ask: Callable[..., Response], path: str
) -> None:
    short, handled, head = ask("GET", path), ask("GET", path, b"x"), ask("HEAD", path)
    assert short.status == handled.status == head.status == 200
    assert short.body == handled.body
    assert head.body == b""
    assert head.values("Content-Length") == [str(len(short.body))]
    assert names(short) == names(handled) == names(head)


def test_a_method_that_a_fixed_answer_has_not(ask: Callable[..., Response]) -> None:
    answer = ask("DELETE", "/health")
    assert answer.status == 405
    assert answer.values("Allow") == ["GET, HEAD"]
