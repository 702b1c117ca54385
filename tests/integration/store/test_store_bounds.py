"""The store when Redis is slow, full, away and back: every call ends in time, few are delayed."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from app.config import Secret
from app.errors import StoreUnavailableError
from app.store import NotExecutedError, RedisStore, UnknownOutcomeError
from app.store.pipeline import pack
from benchmarks.store.lanes import make_lanes
from benchmarks.store.proxy import Proxy
from tests.real_redis import TIMEOUT_S, echo, through, until

if TYPE_CHECKING:
    from app.store.lanes import Lanes
    from benchmarks.store.server import Server
    from tests.real_redis import Run


SMALL_BATCH = 16
AT_ONCE_S = 0.1
PROMISED_RECOVERY_S = 2.0
INCR = pack("INCR", "counter")


# ---- bounds


@pytest.mark.parametrize(
    ("head_start_s", "most_delayed"),
    [(0, 2 * SMALL_BATCH), (0.15, 0)],
    ids=["before it shows", "once it shows"],
)
def test_slow_command_delays_few(
    run: Run, redis: Server, head_start_s: float, most_delayed: int
) -> None:
    slow_s = 1
    delays: list[float] = []

    async def caller(lanes: Lanes, until_s: float) -> None:
        while time.monotonic() < until_s:
            begun = time.monotonic()
            await lanes.call(INCR)
            delays.append(time.monotonic() - begun)

    async def scenario() -> None:
        # A connection has shown that it is slow after a tenth of the timeout.
        lanes = make_lanes(redis.address, timeout_s=1.2, batch=SMALL_BATCH)
        await asyncio.gather(*(echo(lanes, str(n)) for n in range(100)))
        slow = lanes.call(pack("BLPOP", "nothing", slow_s))
        await asyncio.sleep(head_start_s)
        end = time.monotonic() + 0.4
        async with asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(caller(lanes, end))
        assert await slow is None
        await lanes.close()

    run(scenario())
    assert len(delays) > 500
    assert sum(delay > 0.5 for delay in delays) <= most_delayed


def test_calls_that_follow_each_other_never_wait_for_the_slow_one(run: Run, redis: Server) -> None:
    async def scenario() -> None:
        lanes = make_lanes(redis.address, timeout_s=3, batch=1)
        await asyncio.gather(*(echo(lanes, str(number)) for number in range(100)))
        await until(lambda: lanes.open_connections > 1, "a connection to spare")
        slow = lanes.call(pack("BLPOP", "nothing", 1))
        await asyncio.sleep(0)
        for number in range(100):
            await echo(lanes, str(number))
        assert not slow.done()
        await slow
        await lanes.close()

    run(scenario())


def test_calls_beyond_the_queue_fail_at_once(run: Run, redis: Server) -> None:
    async def scenario() -> None:
        async with Proxy(redis.path) as proxy:
            lanes = make_lanes(through(proxy), connections=1, queue=10, batch=5)
            await echo(lanes, "warm")
            proxy.replies_pass.clear()
            sent = [lanes.call(INCR) for _ in range(5)]
            await until(lambda: lanes.counters.commands == 6, "the batch")
            waiting = [lanes.call(INCR) for _ in range(10)]
            begun = time.monotonic()
            with pytest.raises(NotExecutedError, match="10 commands wait"):
                lanes.call(INCR)
            assert time.monotonic() - begun < AT_ONCE_S
            assert lanes.counters.not_sent == 1
            proxy.replies_pass.set()
            assert await asyncio.gather(*sent, *waiting) == list(range(1, 16))
            await lanes.close()

    run(scenario())


def test_every_call_ends_within_the_timeout(run: Run, redis: Server) -> None:
    async def scenario() -> None:
        async with Proxy(redis.path) as proxy:
            lanes = make_lanes(through(proxy), timeout_s=0.2, connections=1, batch=5)
            await echo(lanes, "warm")
            proxy.replies_pass.clear()
            begun = time.monotonic()
            calls = [lanes.call(INCR) for _ in range(12)]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert 0.2 <= time.monotonic() - begun + 0.01 < 0.2 + AT_ONCE_S
            assert [type(o) for o in outcomes[:5]] == [UnknownOutcomeError] * 5
            assert [type(o) for o in outcomes[5:]] == [NotExecutedError] * 7
            assert "200 ms" in str(outcomes[0])
            assert lanes.counters.timed_out == 5
            await lanes.close()

    run(scenario())


# ---- away and back


def test_late_reply_is_a_sign_of_life(run: Run, redis: Server) -> None:
    async def scenario() -> None:
        async with Proxy(redis.path) as proxy:
            lanes = make_lanes(through(proxy), timeout_s=0.3, connections=1)
            await echo(lanes, "warm")
            proxy.replies_pass.clear()
            with pytest.raises(UnknownOutcomeError):
                await lanes.call(INCR)
            assert lanes._breaker.failures == 1
            proxy.replies_pass.set()
            await until(lambda: lanes._breaker.failures == 0, "the late reply")
            assert lanes.counters.discarded == 1
            assert await lanes.call(INCR) == 2
            assert proxy.accepted == 1
            await lanes.close()

    run(scenario())


def test_breaker_opens_when_nobody_listens_and_closes_by_itself(run: Run, redis: Server) -> None:
    async def scenario() -> None:
        async with Proxy(redis.path) as proxy:
            store = RedisStore(Secret(through(proxy)), timeout_s=0.5, connections=4)
            assert await store.count_visit() == 1
            await proxy.stop()
            for _ in range(20):
                begun = time.monotonic()
                with pytest.raises(StoreUnavailableError):
                    await store.count_visit()
                assert time.monotonic() - begun < 0.5
            assert store.is_away
            await asyncio.sleep(1)  # the pauses have grown to their longest
            await proxy.listen()
            await until(lambda: not store.is_away, "Redis", PROMISED_RECOVERY_S)
            assert await store.count_visit() == 2
            assert store.counters().breaker_opened == 1
            await store.close()

    run(scenario())


def test_first_call_after_the_return_of_redis_succeeds(run: Run, redis: Server) -> None:
    async def scenario() -> None:
        async with Proxy(redis.path) as proxy:
            await proxy.stop()
            store = RedisStore(Secret(through(proxy)), timeout_s=0.5, connections=4)
            for _ in range(20):
                with pytest.raises(NotExecutedError):
                    await store.count_visit()
            assert store.is_away
            await proxy.listen()
            assert await store.count_visit() == 1
            await until(lambda: not store.is_away, "the breaker", AT_ONCE_S)
            await store.close()

    run(scenario())


def test_breaker_opens_when_redis_hangs_and_closes_at_the_first_reply(
    run: Run, redis: Server
) -> None:
    async def scenario() -> None:
        async with Proxy(redis.path) as proxy:
            store = RedisStore(Secret(through(proxy)), timeout_s=0.1, connections=4)
            assert await store.count_visit() == 1
            proxy.replies_pass.clear()
            for _ in range(8):
                begun = time.monotonic()
                with pytest.raises(StoreUnavailableError):
                    await store.count_visit()
                assert time.monotonic() - begun < 0.1 + AT_ONCE_S
            assert store.is_away
            begun = time.monotonic()
            for _ in range(1000):
                with pytest.raises(NotExecutedError, match="tried again"):
                    await store.count_visit()
            assert time.monotonic() - begun < 5 * AT_ONCE_S
            accepted = proxy.accepted
            await asyncio.sleep(0.5)
            assert 1 <= proxy.accepted - accepted <= 4, "one attempt at a time"
            proxy.replies_pass.set()
            await until(lambda: not store.is_away, "Redis", PROMISED_RECOVERY_S)
            assert await store.count_visit() > 1
            await store.close()

    run(scenario())


def test_nothing_is_connected_before_it_is_needed(run: Run, redis: Server) -> None:
    store = RedisStore(redis.address, timeout_s=TIMEOUT_S, connections=4)  # no loop runs here
    assert store.open_connections == 0

    async def scenario() -> None:
        assert await store.visits() == 0
        assert store.open_connections == 1
        await store.close()

    run(scenario())


def test_close_fails_what_waits_and_what_comes_later(run: Run, redis: Server) -> None:
    async def scenario() -> None:
        async with Proxy(redis.path) as proxy:
            lanes = make_lanes(through(proxy), connections=1, batch=2)
            await echo(lanes, "warm")
            proxy.replies_pass.clear()
            calls = [lanes.call(INCR) for _ in range(4)]
            await until(lambda: lanes.counters.commands == 3, "the batch")
            await lanes.close()
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(o) for o in outcomes] == [UnknownOutcomeError] * 2 + [NotExecutedError] * 2
            with pytest.raises(NotExecutedError, match="closed"):
                lanes.call(INCR)
            await lanes.close()

        connecting = make_lanes(redis.address)
        call = connecting.call(INCR)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await connecting.close()
        with pytest.raises(StoreUnavailableError):
            await call

    run(scenario())
