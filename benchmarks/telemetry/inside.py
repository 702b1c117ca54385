"""The engine and the application without a network: bytes in, bytes out, in one process.

What the kernel and Nginx cost for each request is left out, so a share measured here is greater
than any that a client could notice.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from app import config, identity, log
from app.planning import PlanningDesk
from app.server import HTTPServer
from app.server.connection import Connection
from app.telemetry import station
from app.telemetry.memory import Memory, Origin
from app.telemetry.meter import NOBODY, Meter
from app.telemetry.station import Station
from app.web import make_application
from benchmarks.machine import ROOT
from benchmarks.micro.sink import Sink
from benchmarks.pairs import Ratio, ratio, settle, take_blocks
from benchmarks.telemetry.arms import ARMS, BARE

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.telemetry.arms import Arm

_IDENTITY = identity.Identity("1.0", "0" * 40, "1.0-0000000")
_FIELDS = (
    b"Host: service.example\r\nX-Real-IP: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n"
    b"X-Request-ID: 0123456789abcdef0123456789abcdef\r\nUser-Agent: curl/8\r\nAccept: */*\r\n"
)
_WARM_UP = 3
_MOST_TURNS = 1000


class _Store:
    """Counts visits where Redis would."""

    async def count_visit(self) -> int:
        """Add one visit."""
        return 1

    visits = count_visit

    async def ping(self) -> None:
        """It is always there."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What was measured of one arm at one path.

    Attributes:
        cpu_us: of a request, the median, microseconds.
        least_us: the least of all turns: what neighbours on the machine disturb least.
        least_ratio: that to the bare arm's.
        ratio: of the medians, to the bare arm, of paired turns.
    """

    path: str
    arm: str
    cpu_us: float
    least_us: float
    least_ratio: float
    ratio: Ratio


def measure(rounds: int, requests: int, seed: int) -> list[Cost]:
    """Let every arm answer the same requests in turns."""
    rng = random.Random(seed)
    found: list[Cost] = []
    with ExitStack() as stack, asyncio.Runner() as runner:
        log_file = stack.enter_context(Path(os.devnull).open("w"))
        log.configure(as_json=True, level="info", stream=log_file)
        connections = {name: runner.run(_connected(arm)) for name, arm in ARMS.items()}
        settle()
        for path, plain in _requests().items():
            ways = {
                name: [_way(runner, *connections[name], arm.request(plain), requests)]
                for name, arm in ARMS.items()
            }
            spent: dict[str, list[float]] = {name: [] for name in ARMS}
            for number in range(_WARM_UP + rounds):
                for name, (turn,) in take_blocks(ways, rng).items():
                    if number >= _WARM_UP:
                        spent[name].append(turn.cpu_s / requests)
            for name, times in spent.items():
                found.append(
                    Cost(
                        path, name, median(times) * 1e6, min(times) * 1e6,
                        min(times) / min(spent[BARE]), ratio(times, spent[BARE], seed),
                    )
                )  # fmt: skip
    return found


def _requests() -> dict[str, bytes]:
    plan = (ROOT / "tests" / "data" / "powerplant" / "payload3.json").read_bytes()
    json = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return {
        "/health": b"GET /health HTTP/1.1\r\n" + _FIELDS + b"\r\n",
        "/": b"GET / HTTP/1.1\r\n" + _FIELDS.replace(b"*/*", b"text/html") + b"\r\n",
        "/productionplan": b"POST /productionplan HTTP/1.1\r\n" + _FIELDS + json % len(plan) + plan,
    }


async def _connected(arm: Arm) -> tuple[Connection, Sink]:
    memory = Memory.make()
    region = memory.free(frozenset())
    if region is None:
        raise LookupError("new memory has no room")
    region.assign(os.getpid())
    region.sign(Origin("worker", 0, os.getpid(), time.time(), "1.0", "0" * 40, "1.0-0000000"))
    station.install(Station(Meter(region) if arm.metrics else NOBODY, memory))
    settings = config.load(config.Sources({"ENVIRONMENT": "PROD", **arm.settings}, None))
    desk = PlanningDesk(co2=True, processes=1, queue=1, deadline_s=10.0)
    application = make_application(settings, _IDENTITY, _Store(), desk, lambda: False)
    loop = asyncio.get_running_loop()
    server = HTTPServer(application, xheaders=True)
    server.done = loop.create_future()
    server.done.set_result(None)
    sink = Sink()
    connection = Connection(server, loop)
    connection.connection_made(sink)
    return connection, sink


def _way(
    runner: asyncio.Runner, connection: Connection, sink: Sink, request: bytes, requests: int
) -> Callable[[], None]:
    async def ask_all() -> None:
        for _ in range(requests):
            answered = sink.writes + 1
            connection.data_received(request)
            for _ in range(_MOST_TURNS):
                if sink.writes >= answered:
                    break
                await asyncio.sleep(0)
        if not sink.last.startswith(b"HTTP/1.1 200"):
            raise LookupError(f"a wrong answer: {sink.last[:200]!r}")
        log.flush()  # what waits is this arm's, too

    return lambda: runner.run(ask_all())
