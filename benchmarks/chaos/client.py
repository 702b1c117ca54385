"""The open-loop client: sends at a fixed rate whatever the server does, and records every request.

`python -m benchmarks.chaos.client LOAD RECORD` reads a `Load` (JSON) from one file and writes what
came of each request (MessagePack) to the other. It says `ready` on standard output once it sends,
and ends when its standard input does: with the process that started it, if need be.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections import deque
from pathlib import Path

import msgspec
import uvloop

from benchmarks.chaos.load import LONG_S, Draw, Kind, Load
from benchmarks.chaos.record import OK, Request
from benchmarks.chaos.wire import Answer, BrokenError, Exchange

ANSWER_TIMEOUT_S = 30.0
MOST_UNDER_WAY = 5000
_VISITS = b"Counter: "


class Client:
    """Sends a load and keeps its record."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._draw = Draw(load)
        self._idle: deque[Exchange] = deque()
        self.record: list[Request] = []

    async def run(self, stopping: asyncio.Event) -> None:
        """Send until told to stop, then wait for the last answers."""
        begun = time.monotonic()
        deadline = begun + self._load.most_s
        under_way: set[asyncio.Task[None]] = set()
        number = 0
        while not stopping.is_set() and time.monotonic() < deadline:
            intended = begun + number / self._load.rate_hz
            await asyncio.sleep(max(0.0, intended - time.monotonic()))
            if len(under_way) < MOST_UNDER_WAY:
                task = asyncio.create_task(self._send(number, intended))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            else:
                self._skip(number, intended)
            number += 1
        if under_way:
            await asyncio.wait(under_way)
        for exchange in self._idle:
            exchange.close()

    def _skip(self, number: int, intended: float) -> None:
        now = time.monotonic()
        self.record.append(
            Request(number, "none", idempotent=True, kept=False, intended=intended, sent=now,
                    ended=now, status=0, trouble="not sent: too many without an answer")
        )  # fmt: skip

    async def _send(self, number: int, intended: float) -> None:
        kind, kept = self._draw.next()
        slot = number // 2 % len(self._load.sockets) if kind.direct else -1
        sent = time.monotonic()
        status, trouble, resent, visits = 0, "", False, -1
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                answer, resent = await self._ask(kind, number, slot, kept=kept)
            status, trouble = answer.status, _trouble(kind, answer)
            if not trouble and _VISITS in answer.body:
                visits = int(answer.body.split(_VISITS)[1].split(b"<")[0])
        except TimeoutError:
            trouble = "no answer in time"
        except BrokenError as error:
            trouble = f"{error}{' on a kept connection' if kept else ''}"
        except OSError as error:
            trouble = f"no connection: {error.strerror or error}"
        self.record.append(Request(number, kind.name, kind.idempotent, kept, intended, sent,
                                   time.monotonic(), status, trouble, resent, slot,
                                   visits))  # fmt: skip

    async def _ask(self, kind: Kind, number: int, slot: int, *, kept: bool) -> tuple[Answer, bool]:
        exchange = (kept and self._take()) or await self._connect(slot)
        reused = exchange.used
        try:
            return await self._talk(exchange, kind, number, kept=kept), False
        except BrokenError as error:
            if not (reused and kind.idempotent and error.clean):
                raise
        fresh = await self._connect(slot)
        return await self._talk(fresh, kind, number, kept=kept), True

    async def _talk(self, exchange: Exchange, kind: Kind, number: int, *, kept: bool) -> Answer:
        pieces = kind.pieces()
        try:
            answer = exchange.begin(kind.head(number) + pieces[0])
            for piece in pieces[1:]:
                await asyncio.wait((answer,), timeout=LONG_S / kind.parts)
                exchange.more(piece)
            result = await answer
        except BaseException:
            exchange.close()
            raise
        if kept and exchange.is_open:
            self._idle.append(exchange)
        else:
            exchange.close()
        return result

    def _take(self) -> Exchange | None:
        while self._idle:
            exchange = self._idle.pop()
            if exchange.is_open:
                return exchange
        return None

    async def _connect(self, slot: int) -> Exchange:
        loop = asyncio.get_running_loop()
        if slot >= 0:
            made = await loop.create_unix_connection(Exchange, self._load.sockets[slot])
            return made[1]
        return (await loop.create_connection(Exchange, "127.0.0.1", self._load.port))[1]


def _trouble(kind: Kind, answer: Answer) -> str:
    if answer.status != OK:
        return f"status {answer.status}"
    return "" if kind.expects in answer.body else "another answer than the right one"


async def _main(load: Load) -> list[Request]:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heard() -> None:
        with contextlib.suppress(BlockingIOError):
            if not os.read(0, 4096):
                stopping.set()

    loop.add_reader(0, heard)
    client = Client(load)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await client.run(stopping)
    loop.remove_reader(0)
    return client.record


def main() -> None:
    """Send what the first argument names, record it where the second says."""
    load = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Load)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        record = runner.run(_main(load))
    Path(sys.argv[2]).write_bytes(msgspec.msgpack.encode(record))


if __name__ == "__main__":
    main()
