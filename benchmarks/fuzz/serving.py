"""Whole connections under hostile bytes: what is answered, and who is told of what."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)

from app.server import HTTPServer
from app.server.connection import Connection
from benchmarks.fuzz.double import Loop, Transport
from benchmarks.fuzz.reading import FoundError, Outcome, outcome

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Iterator

    from app.server.context import Context
    from app.server.handover import Departure

MAX_BODY_BYTES = 200
ENDINGS = ("waits", "waits", "leaves", "reads nothing")
"""How a client ends its connection."""
_LONG_S = 10_000.0


class Log(logging.Handler):
    """What was logged though nothing should have been."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.faults: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.faults.append(self.format(record))


@contextmanager
def watched_log() -> Iterator[Log]:
    """Collect what is logged within the block, from warnings on; what is less is not logged."""
    log = Log()
    loggers = [logging.getLogger(f"tornado.{name}") for name in ("application", "general")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(log)
        logger.setLevel(logging.WARNING)
        logger.propagate = False
    try:
        yield log
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(log)
            logger.setLevel(level)
            logger.propagate = propagate


class Rig:
    """A server in memory.

    Args:
        log: to which nothing must be written, as of `watched_log`.
    """

    def __init__(self, log: Log) -> None:
        loop = Loop()
        self.loop = loop
        self.log = log
        self.answers = _Answers(loop)
        self.server = _Server(
            self.answers,
            max_header_count=20,
            max_body_size=MAX_BODY_BYTES,
            idle_connection_timeout=60.0,
            header_timeout=30.0,
            body_timeout=30.0,
        )
        self.server.done = loop.create_future()
        self.server.done.set_result(None)
        self.server.departed = []

    def connect(self) -> tuple[Connection, Transport]:
        """A new client."""
        loop: Any = self.loop
        connection = Connection(self.server, loop)
        transport = Transport(self.loop, connection)
        connection.connection_made(transport)
        return connection, transport


def check(rig: Rig, data: bytes, cuts: list[int], ending: str) -> bytes:
    """Send bytes in pieces and return the answers.

    Args:
        rig: the server.
        data: what the client sends.
        cuts: where the pieces end, from 0 to the length.
        ending: one of `ENDINGS`.

    Raises:
        FoundError: a rule of the engine was broken.
    """
    rig.answers.taken.clear()
    rig.server.departed.clear()
    rig.log.faults.clear()
    connection, transport = rig.connect()
    if ending != "reads nothing":
        transport.take()
    _send(rig, connection, transport, data, cuts)
    if ending == "leaves":
        transport.close()
    rig.loop.run()
    rig.loop.pass_time(_LONG_S)
    _expect(connection.closed, "the connection is still open after a long time")
    _expect(rig.server.has_ended(connection), "the server counts a connection that has ended")
    _expect(rig.loop.waiting == 0, "a timer is left")
    _expect(not rig.loop.caught, f"nobody handled {rig.loop.caught}")
    _expect(not rig.log.faults, f"logged {rig.log.faults[:1]}")
    for taken in rig.answers.taken:
        _expect(taken.told.count("end") + taken.told.count("close") == 1, f"told {taken.told}")
        _expect(taken.told[0] == "head", f"told {taken.told}")
    if ending == "waits":
        _expect_answers(rig, bytes(transport.written), outcome(data, (0, len(data))))
    return bytes(transport.written)


def _send(
    rig: Rig, connection: Connection, transport: Transport, data: bytes, cuts: list[int]
) -> None:
    for start, end in pairwise(cuts):
        for _ in range(20):
            if transport.takes_bytes or transport.is_closing():
                break
            rig.loop.run()
        if transport.is_closing() or not transport.takes_bytes:
            return
        if end > start:
            connection.data_received(data[start:end])
        if end % 3 == 0:
            rig.loop.run()


def _expect_answers(rig: Rig, written: bytes, read: Outcome) -> None:
    """Every request that was read whole has its answer, in order, and none has two."""
    heads = [event for event in read if event[0] == "head"]
    ended = [taken for taken in rig.answers.taken if taken.told[-1] == "end"]
    answers = written.count(b"\r\nX-Number: ")
    numbers = [int(part.split(b"\r\n", 1)[0]) for part in written.split(b"\r\nX-Number: ")[1:]]
    _expect(numbers == sorted(set(numbers)), f"answers out of order: {numbers}")
    _expect(len(rig.answers.taken) <= len(heads), "more requests than were sent")
    _expect(answers <= len(rig.answers.taken), "more answers than requests")
    _expect(len(ended) <= answers, f"{len(ended)} requests ended, {answers} answered")
    refusals = sum(written.count(b"HTTP/1.1 %d " % status) for status in (400, 414, 431))
    _expect(refusals <= 1, "two refusals")
    for start, head, got in _in_pairs(rig, heads):
        _expect(head[1:4] == start, f"{head} was taken as {start}")
        _expect(got <= MAX_BODY_BYTES, f"a body of {got} bytes was taken")


def _in_pairs(
    rig: Rig, heads: Outcome
) -> Iterator[tuple[tuple[object, ...], tuple[object, ...], int]]:
    for taken, head in zip(rig.answers.taken, heads, strict=False):
        yield tuple(taken.start_line), head, taken.size


def _expect(holds: object, what: str) -> None:
    if not holds:
        raise FoundError(what)


class _Server(HTTPServer):
    """Keeps what would go to stock Tornado, and closes it."""

    departed: list[bytes]

    def has_ended(self, connection: Connection) -> bool:
        return connection not in self._open

    def serve_stock(self, departure: Departure, context: Context) -> None:  # noqa: ARG002
        self.departed.append(departure.unread)


class _Answers(HTTPServerConnectionDelegate):
    """Answers in the ways that there are, chosen by the target; keeps what it was told."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.taken: list[_Taken] = []

    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:  # noqa: ANN401, ARG002
        return _Taken(self, request_conn)


class _Taken(HTTPMessageDelegate):
    """One request.

    Attributes:
        told: what the connection has told of it.
        size: bytes of its body so far.
    """

    def __init__(self, answers: _Answers, connection: Any) -> None:  # noqa: ANN401
        self.told: list[str] = []
        self.size = 0
        self.start_line: Any = ()
        self._answers = answers
        self._connection = connection
        self._is_answered = False

    def headers_received(
        self,
        start_line: RequestStartLine | ResponseStartLine,
        headers: HTTPHeaders,  # noqa: ARG002
    ) -> Awaitable[None] | None:
        self.told.append("head")
        self.start_line = start_line
        self._number = len(self._answers.taken)
        self._answers.taken.append(self)
        if start_line[1] == "/held":
            return self._soon()
        if start_line[1] == "/early":
            self._answer()
        return None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        self.size += len(chunk)
        return self._soon() if self.start_line.path == "/slow" else None

    def finish(self) -> None:
        self.told.append("end")
        if self.start_line.path == "/later":
            self._answers.loop.call_soon(self._answer)
        else:
            self._answer()

    def on_connection_close(self) -> None:
        self.told.append("close")
        # A handler that works on, as many do, and writes to a client that has gone.
        self._answers.loop.call_soon(self._answer)

    def _soon(self) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self._answers.loop.create_future()
        self._answers.loop.call_soon(self._resolve, future)
        return future

    @staticmethod
    def _resolve(future: asyncio.Future[None]) -> None:
        future.set_result(None)

    def _answer(self) -> None:
        if self._is_answered:
            return
        self._is_answered = True
        headers = HTTPHeaders({"X-Number": str(self._number)})
        body = b"x" * self.size
        if self.size % 2 == 0:
            headers["Content-Length"] = str(self.size)
        is_head = self.start_line.method == "HEAD"
        line = ResponseStartLine("HTTP/1.1", 200, "OK")
        self._connection.write_headers(line, headers, b"" if is_head else body)
        self._connection.finish()
