"""One kind of request to several servers that take turns, with some hundredths of a second each.

A virtual CPU is half as fast again for tenths of a second up to many seconds, so two loads of half
a second may meet two different machines. Cut into slices, each server's load meets the same ones:
a sweep gives every server a slice right after the others, every second sweep in reverse order.
Connections stay open between slices, and servers are idle then. The first sweep warms up.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import msgspec
import numpy as np
import psutil
from scipy import stats

from benchmarks.http.cpu import own_s
from benchmarks.peers.generator import LAST_ANSWERS_S, Driver, Load, driver_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_TRIMMED = 0.2
"""Share of the sweeps at either end that a level leaves out."""
_Name = TypeVar("_Name")


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Whose turn it may be.

    Attributes:
        address: HOST:PORT of its entrance.
        request: the bytes that are sent.
        pids: of the processes whose CPU time is read.
    """

    address: str
    request: bytes
    pids: list[int]


class Slices(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent, and how.

    Attributes:
        servers: in the order of their turns.
        connections: how many are kept open to each.
        seconds: of a slice.
        sweeps: how often each server has its turn; one more comes before, which is not counted.
        rate_hz: requests per second of an open loop; None for a closed one.
    """

    servers: list[Server]
    connections: int
    seconds: float
    sweeps: int
    rate_hz: float | None = None

    @property
    def longest_s(self) -> float:
        """How long it can take, with last answers that are waited for in vain."""
        turns = len(self.servers) * (self.sweeps + 1)
        return turns * self.seconds + len(self.servers) * 2 * LAST_ANSWERS_S


class Slice(msgspec.Struct, frozen=True, array_like=True):
    """What one server did in one turn.

    Attributes:
        answered: good answers.
        seconds: until the last of them.
        cpu_s: CPU time of its processes.
        latencies_s: of an open loop, from the intended time to the end of each good answer.
    """

    answered: int
    seconds: float
    cpu_s: float
    latencies_s: list[float]


class Sliced(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it, by server in the order given.

    Attributes:
        slices: of each server, sweep by sweep; those before the sweep in which one has failed.
        spent_s: CPU time of each server's processes, from the first turn of any to the last.
        errors: how often each kind of error happened.
    """

    slices: list[list[Slice]]
    spent_s: list[float]
    errors: list[dict[str, int]]


async def send(wanted: Slices) -> Sliced:
    """Send all slices from this process's event loop; ends with the sweep in which one fails."""
    with _drivers(wanted) as drivers:
        for driver in drivers:
            await driver.open()
        before = [_cpu_s(server) for server in wanted.servers]
        slices: list[list[Slice]] = [[] for _ in drivers]
        order = list(range(len(drivers)))
        for sweep in range(wanted.sweeps + 1):
            turns = {at: await _turn(drivers[at], wanted.servers[at]) for at in order}
            if any(driver.errors for driver in drivers):
                break
            if sweep:
                for at, turn in turns.items():
                    slices[at].append(turn)
            order.reverse()
        return Sliced(
            slices=slices,
            spent_s=[
                _cpu_s(server) - begun for server, begun in zip(wanted.servers, before, strict=True)
            ],
            errors=[dict(driver.errors) for driver in drivers],
        )


async def _turn(driver: Driver, server: Server) -> Slice:
    cpu_s, begun = _cpu_s(server), time.monotonic()
    outcome = await driver.run()
    seconds = time.monotonic() - begun
    return Slice(outcome.total, seconds, _cpu_s(server) - cpu_s, outcome.latencies_s)


@contextmanager
def _drivers(wanted: Slices) -> Iterator[list[Driver]]:
    drivers = [
        driver_of(
            Load(
                addresses=[server.address], request=server.request, seconds=wanted.seconds,
                connections=wanted.connections, rate_hz=wanted.rate_hz,
            )
        )
        for server in wanted.servers
    ]  # fmt: skip
    try:
        yield drivers
    finally:
        for driver in drivers:
            driver.close()


def _cpu_s(server: Server) -> float:
    """CPU time so far; one that has ended counts nothing, and is missed by who asked."""
    spent = 0.0
    for pid in server.pids:
        with suppress(psutil.NoSuchProcess):
            spent += own_s(pid)
    return spent


def levels(figures: Mapping[_Name, Sequence[float]]) -> dict[_Name, float]:
    """One figure for each of several that took turns, which few disturbed slices hardly move.

    Each figure is taken relative to the middle of its sweep, so that what slows a whole sweep down
    leaves no trace; of these a mean is taken without the highest and lowest fifth.

    Args:
        figures: above 0, by name: of each sweep, in order; as many for each.
    """
    logs = np.log(np.asarray(list(figures.values()), dtype=float))
    middles = np.median(logs, axis=0)
    found = np.exp(stats.trim_mean(logs - middles, _TRIMMED, axis=1) + np.median(middles))
    return dict(zip(figures, map(float, found), strict=True))
