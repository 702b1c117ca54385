"""Requests that two servers could frame in two ways: what a worker reads is what Nginx passed on.

Nginx gives each request that it passes on an id of its own making. A request that a worker finds
within another one carries no such id, and so gets one from the worker: an id in the worker's log
that is not in Nginx's is a smuggled request.
"""

from __future__ import annotations

import contextlib
import json
import socket
from typing import TYPE_CHECKING

import pytest

from tests.nginx_front import running
from tests.support import Stack, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.nginx_front import Front

HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /calculator HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def length(size: int, name: bytes = b"Content-Length") -> bytes:
    return b"%s: %d\r\n" % (name, size)


SIZE = len(HIDDEN)
IN_CHUNKS = b"\r\n0\r\n\r\n" + HIDDEN
ALL = length(len(IN_CHUNKS) - 2)


def coded(value: bytes, name: bytes = b"Transfer-Encoding:") -> bytes:
    """A length that covers everything, and a coding that would end the body before `HIDDEN`."""
    return POST + ALL + name + value + b"\r\n" + IN_CHUNKS


def counted(*fields: bytes) -> bytes:
    """Fields of which one reading has `HIDDEN` as the body, and another no body."""
    return POST + b"".join(fields) + b"\r\n" + HIDDEN


def in_chunk(line: bytes) -> bytes:
    """`HIDDEN` as a chunk, after this line for its size."""
    return POST + CHUNKED + b"\r\n" + line + HIDDEN + b"\r\n0\r\n\r\n"


# Each hides a request where one reading has a body and another has not.
CASES = {
    "length and chunks": coded(b" chunked"),
    "chunks and a short length": POST + CHUNKED + length(4) + IN_CHUNKS,
    "chunked after a tab": coded(b"\tchunked"),
    "chunked after a vertical tab": coded(b" \x0bchunked"),
    "chunked and another": coded(b" chunked\r\nTransfer-Encoding: identity"),
    "not quite chunked": coded(b" xchunked"),
    "list of codings": coded(b" chunked, identity"),
    "space before the colon": coded(b" chunked", b"Transfer-Encoding :"),
    "underscore": coded(b" chunked", b"Transfer_Encoding:"),
    "folded": coded(b" chunked", b"X: y\r\n Transfer-Encoding:"),
    "bare carriage return": coded(b" chunked", b"X: y\rTransfer-Encoding:"),
    "underscored length": counted(length(0, b"Content_Length"), length(SIZE)),
    "two lengths": counted(length(0), length(SIZE)),
    "two lengths the other way": counted(length(SIZE), length(0)),
    "list of lengths": counted(b"Content-Length: 0, %d\r\n" % SIZE),
    "length with a sign": counted(b"Content-Length: +%d\r\n" % SIZE),
    "length in two parts": counted(b"Content-Length: %d 0\r\n" % SIZE),
    "length in hexadecimal": counted(b"Content-Length: 0x%x\r\n" % SIZE),
    "null in a field": counted(b"X: y\0\r\n", length(SIZE)),
    "expectation": counted(b"Expect: 100-continue\r\n", length(SIZE)),
    "bare line feeds": POST.replace(b"\r\n", b"\n") + length(SIZE) + b"\n" + HIDDEN,
    "chunk with an extension": in_chunk(b"%x;a=\nb\r\n" % SIZE),
    "chunk size with a sign": in_chunk(b"+%x\r\n" % SIZE),
    "chunk size that overflows": in_chunk(b"1%016x\r\n" % SIZE),
    "chunk with bare line feeds": in_chunk(b"%x\n" % SIZE),
    "chunks in 1.0": POST.replace(b"1.1", b"1.0") + CHUNKED + ALL + IN_CHUNKS,
    "trailer": POST + CHUNKED + b"\r\n0\r\n" + length(SIZE) + b"\r\n",
    "body of a get": b"GET /health HTTP/1.1\r\nHost: a\r\n" + length(SIZE) + b"\r\n" + HIDDEN,
    "upgrade with a body": b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\n" + length(SIZE) + b"\r\n" + HIDDEN,
}
LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def send(port: int, data: bytes) -> bytes:
    """What comes back for a case and `LAST`; an end that never comes is cut off by Nginx."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(data + LAST)
        got = b""
        try:
            while part := connection.recv(65536):
                got += part
        except ConnectionResetError:
            pass
        return got


def identifiers(stack: Stack, program: str) -> set[str]:
    """The ids of the requests in a program's access lines."""
    lines = stack.log(program).rpartition("\n")[0].splitlines()
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    return {entry["request_id"] for entry in entries if "duration_ms" in entry or "bytes" in entry}


def smuggled(stack: Stack, known: frozenset[str] = frozenset()) -> frozenset[str]:
    """The requests that a worker has read and Nginx has not passed on, but for those known."""
    last = stack.get("/metadata").headers["X-Request-ID"]
    wait_for(lambda: last in identifiers(stack, "web"), "the last line of the workers", 20)
    wait_for(lambda: last in identifiers(stack, "nginx"), "the last line of Nginx", 20)
    found = identifiers(stack, "web") - known
    # Nginx writes its line of a request after the worker's.
    with contextlib.suppress(pytest.fail.Exception):
        wait_for(lambda: found <= identifiers(stack, "nginx"), "every line of Nginx", 3)
    return frozenset(found - identifiers(stack, "nginx"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that gives up soon on what does not end, and whose workers tell of each request."""
    settings = {"LOG_FORMAT": "json", "ACCESS_LOG": "yes", "CLIENT_TIMEOUT_S": "1"}
    stack = Stack(
        tmp_path_factory.mktemp("service") / "state", {"ENVIRONMENT": "TESTING", **settings}
    )
    stack.up()
    yield stack
    stack.down()


def test_workers_read_the_requests_that_nginx_passed_on_and_no_others(service: Stack) -> None:
    known = smuggled(service)  # each worker's own probe at its start
    for data in CASES.values():
        for hidden in (HIDDEN, HIDDEN.replace(b"/smuggled", b"/metadata")):
            send(service.port, data.replace(HIDDEN, hidden))
    assert smuggled(service, known) == set()
    # So that the test can fail: what reaches a worker past Nginx is seen.
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(service.state / "run" / "worker-0.sock"))
        connection.sendall(HIDDEN)
        assert connection.recv(4096).startswith(b"HTTP/1.1 404 ")
    assert len(smuggled(service, known)) == 1


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with running(CLIENT_TIMEOUT_S="1") as started:
        yield started


@pytest.mark.parametrize("name", CASES)
def test_no_worker_gets_more_requests_than_are_answered(front: Front, name: str) -> None:
    before = len(front.workers.seen)
    got = send(front.port, CASES[name])
    answers = got.replace(b"HTTP/1.1 100 Continue", b"").count(b"HTTP/1.1 ")
    seen = front.workers.seen[before:]
    assert len(seen) <= answers, (seen, got)
    for request in seen:
        assert request.headers["host"] == "a"
        assert "x-request-id" in request.headers, "each was passed on by Nginx on its own"
