"""What a call costs: CPU of this process for each `count_visit`, both ways in turns."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from app.store import RedisStore
from benchmarks.store.stock import StockStore

if TYPE_CHECKING:
    from app.config import Secret

_TIMEOUT_S = 5.0
_CONNECTIONS = 16
_CALLS_PER_TURN = 4096


class _Store(Protocol):
    async def count_visit(self) -> int:
        """Add one visit and return how many there are."""

    async def close(self) -> None:
        """Close every connection."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What was measured with one number of callers.

    Attributes:
        callers: how many call at once, each again as soon as it is answered.
        stock_us: CPU time of a call by redis-py, the median of all turns, in microseconds.
        windlass_us: the same of the store.
        ratios: stock to store, one for each pair of turns, sorted.
        batch: commands in one write of the store, on average.
    """

    callers: int
    stock_us: float
    windlass_us: float
    ratios: tuple[float, ...]
    batch: float


async def measure(address: Secret, callers: int, turns: int) -> Cost:
    """Let both count visits in turns, and who begins alternate."""
    stock: _Store = StockStore(address, timeout_s=_TIMEOUT_S, connections=_CONNECTIONS)
    ours = RedisStore(address, timeout_s=_TIMEOUT_S, connections=_CONNECTIONS)
    pair: list[_Store] = [stock, ours]
    for store in pair:  # connect, and warm up what the interpreter specialises
        await _cpu_us(store, callers)
    before = ours.counters()
    spent: dict[int, list[float]] = {id(stock): [], id(ours): []}
    for turn in range(turns):
        for store in pair[:: 1 if turn % 2 else -1]:
            spent[id(store)].append(await _cpu_us(store, callers))
    after = ours.counters()
    for store in pair:
        await store.close()
    theirs, mine = spent[id(stock)], spent[id(ours)]
    return Cost(
        callers,
        statistics.median(theirs),
        statistics.median(mine),
        tuple(sorted(a / b for a, b in zip(theirs, mine, strict=True))),
        (after.commands - before.commands) / (after.batches - before.batches),
    )


async def _cpu_us(store: _Store, callers: int) -> float:
    async def call() -> None:
        for _ in range(_CALLS_PER_TURN // callers):
            await store.count_visit()

    begun = time.process_time()
    await asyncio.gather(*(call() for _ in range(callers)))
    spent = time.process_time() - begun
    return spent / (_CALLS_PER_TURN // callers * callers) * 1e6
