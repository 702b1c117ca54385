"""A worker knows of a Redis that is away before anybody needs it."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import pytest

from app.config import Secret
from app.store import RedisStore
from app.store.pipeline import pack
from app.telemetry import vitals
from app.telemetry.catalogue import REDIS_UP
from app.telemetry.memory import Memory, Origin
from app.telemetry.meter import Meter
from app.telemetry.totals import WORKER, add_up
from benchmarks.store.lanes import make_lanes
from benchmarks.store.proxy import Proxy
from tests.real_redis import through, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.store.server import Server
    from tests.real_redis import Run

    Fault = Callable[[Proxy], Awaitable[None]]

TIMEOUT_S = 0.2
PINGS_A_SECOND = 5


async def silence(proxy: Proxy) -> None:
    proxy.replies_pass.clear()


async def let_speak(proxy: Proxy) -> None:
    proxy.replies_pass.set()


async def allow(proxy: Proxy, what: str) -> None:
    lanes = make_lanes(f"unix://{proxy.path}")
    assert await lanes.call(pack("ACL", "SETUSER", "default", what)) == b"OK"
    await lanes.close()


FAULTS: dict[str, tuple[Fault, Fault]] = {
    "gone": (Proxy.stop, Proxy.listen),
    "silent": (silence, let_speak),
    "refusing": (partial(allow, what="-ping"), partial(allow, what="+ping")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_worker_without_traffic_shows_whether_redis_answers(
    run: Run, redis: Server, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vitals, "TICK_S", 0.1 / 5 / PINGS_A_SECOND)
    memory = Memory.make()
    region = memory.free(frozenset())
    assert region is not None
    region.assign(1)
    region.sign(Origin(WORKER, 0, 1, 1.0, "1", "c", "r"))

    def is_up() -> bool:
        return add_up(memory.read()).gauge(REDIS_UP.name)[0] == 1

    async def scenario() -> None:
        async with Proxy(redis.path) as proxy:
            store = RedisStore(Secret(through(proxy)), timeout_s=TIMEOUT_S, connections=4)
            watch = vitals.Vitals(Meter(region), store, lambda: 0)
            watch.start()
            await until(lambda: store.open_connections, "the first question")
            assert is_up()
            break_it, mend_it = FAULTS[fault]
            await break_it(proxy)
            await until(lambda: not is_up(), "what is away to show")
            await mend_it(proxy)
            await until(is_up, "what is back to show")
            assert store.counters().commands == 0
            assert await store.count_visit() == 1
            assert store.counters().commands == 1
            watch.stop()
            await store.close()

    run(scenario())
    os.close(memory.descriptor)
