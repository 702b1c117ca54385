"""How the time for a request grows with its size: twice the size, at most about twice the time."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tornado.httputil import (
    HTTPHeaders,
    HTTPServerRequest,
    RequestStartLine,
    parse_body_arguments,
)

from app.server.reading import Reader
from benchmarks.fuzz.serving import Log, Rig

if TYPE_CHECKING:
    from collections.abc import Callable

_ENOUGH_FIELDS = 1 << 20
_ENOUGH_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class Kind:
    """Something of which a request may have much.

    Attributes:
        name: of what is doubled.
        size: the smaller of the two sizes.
        prepare: makes what is timed, from a size.
        allowed: the most that twice the size may cost, in times.
    """

    name: str
    size: int
    prepare: Callable[[int], Callable[[], object]]
    allowed: float = 2.3


def ratio(kind: Kind, rounds: int) -> float:
    """Time at twice the size by time at the size: the least of several runs each, in turns."""
    least = [float("inf"), float("inf")]
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for place in (0, 1):
                run = kind.prepare(kind.size * (place + 1))
                begun = time.thread_time_ns()
                run()
                least[place] = min(least[place], time.thread_time_ns() - begun)
    finally:
        gc.enable()
    return least[1] / least[0]


def _read(data: bytes, step: int = 0, times: int = 1) -> Callable[[], object]:
    def once() -> None:
        reader = Reader(_ENOUGH_BYTES, _ENOUGH_FIELDS)
        pieces = [data[at : at + step] for at in range(0, len(data), step)] if step else [data]
        events = [event for piece in pieces for event in reader.feed(piece)]
        reader.close()
        if len(events) < 2:
            raise RuntimeError("the request was not read")

    def run() -> None:
        for _ in range(times):
            once()

    return run


def _serve(data: bytes, max_body_size: int) -> Callable[[], object]:
    rig = Rig(Log())
    rig.server.max_body_size = max_body_size
    connection, transport = rig.connect()
    transport.take()

    def run() -> None:
        for at in range(0, len(data), 65536):
            connection.data_received(data[at : at + 65536])
            rig.loop.run()
        if not transport.written.endswith(b"\r\n\r\n"):
            raise RuntimeError("the last request was not answered")

    return run


def _request(head: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n"


def _cookies(count: int) -> Callable[[], object]:
    text = "; ".join(f"name{number}=value{number}" for number in range(count))

    line = RequestStartLine("GET", "/", "HTTP/1.1")
    headers = HTTPHeaders({"Cookie": text, "Host": "a"})

    def run() -> object:
        request = HTTPServerRequest(start_line=line, headers=headers)
        if len(request.cookies) != count:
            raise RuntimeError("cookies are missing")
        return request

    return run


def _multipart(parts: int, part_bytes: int) -> Callable[[], object]:
    part = b'--b\r\nContent-Disposition: form-data; name="n"\r\n\r\n' + b"x" * part_bytes + b"\r\n"
    body = part * parts + b"--b--\r\n"
    headers = HTTPHeaders({"Content-Type": "multipart/form-data; boundary=b"})

    def run() -> None:
        arguments: dict[str, list[bytes]] = {}
        parse_body_arguments("multipart/form-data; boundary=b", body, arguments, {}, headers)
        if len(arguments["n"]) != parts:
            raise RuntimeError("parts are missing")

    return run


def _chunked(count: int) -> Callable[[], object]:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    # An even size of the body is answered with its length: 0 bytes are wanted at the end.
    return _serve(head + b"1\r\na\r\n" * count + b"0\r\n\r\n" + _request(b""), 2 * count)


def _target(size: int) -> bytes:
    return b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * size)


def _value(size: int) -> bytes:
    return _request(b"X: " + b"x" * size + b"\r\n")


def _different(count: int) -> bytes:
    return _request(b"".join(b"X%d: y\r\n" % number for number in range(count)))


_IN_BYTES = 3.2
"""httptools copies what it has of a value whenever more of it comes. A head's limit of 64 KiB keeps
that to some 0.1 s of a client's 65536 packets."""

KINDS = (
    Kind("bytes of one value", 1 << 14, lambda n: _read(_value(n), times=100)),
    Kind("bytes of the target", 1 << 14, lambda n: _read(_target(n), times=100)),
    Kind("fields of different names", 2000, lambda n: _read(_different(n), times=3)),
    Kind("fields of one name", 1000, lambda n: _read(_request(b"X: y\r\n" * n), times=5)),
    Kind("fields in single bytes", 1000, lambda n: _read(_request(b"X: y\r\n" * n), 1)),
    Kind("value in single bytes", 30_000, lambda n: _read(_value(n), 1), _IN_BYTES),
    Kind("target in single bytes", 30_000, lambda n: _read(_target(n), 1), _IN_BYTES),
    Kind("cookies", 5000, _cookies),
    Kind("parts of a form", 40, lambda n: _multipart(n, 2000)),
    Kind("bytes of a form's part", 1 << 20, lambda n: _multipart(1, n)),
    Kind("chunks of one byte", 50_000, _chunked),
    Kind("pipelined requests", 2000, lambda n: _serve(_request(b"") * n, 100)),
)
