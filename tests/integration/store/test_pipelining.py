"""The store on a real Redis: one write a turn, replies in order, broken connections."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from app.store import NotExecutedError, RedisStore, UnknownOutcomeError
from app.store.pipeline import pack
from benchmarks.store import storm
from benchmarks.store.lanes import make_lanes
from benchmarks.store.proxy import Proxy
from tests.real_redis import TIMEOUT_S, echo, through, until

if TYPE_CHECKING:
    from app.store.lanes import Lanes
    from benchmarks.store.server import Server
    from tests.real_redis import Run


STORM_CALLS = 100_000
INCR = pack("INCR", "counter")


async def counter(redis: Server) -> int:
    store = RedisStore(redis.address, timeout_s=TIMEOUT_S, connections=1)
    found = await store.visits()
    await store.close()
    return found


# ---- batches and order


def test_commands_of_one_turn_travel_as_one_write(run: Run, redis: Server) -> None:
    async def scenario() -> None:
        async with Proxy(redis.path) as proxy:
            proxy.keeps_requests = True
            lanes = make_lanes(through(proxy))
            await echo(lanes, "warm")
            (relay,) = proxy.relays
            relay.requests.clear()
            async with asyncio.TaskGroup() as group:
                for number in range(60):
                    group.create_task(echo(lanes, f"tag {number}"))
            assert relay.requests == [b"".join(pack("ECHO", f"tag {n}") for n in range(60))]
            assert lanes.counters.batch_sizes[5] == 1
            await lanes.close()

    run(scenario())


def test_replies_of_interleaved_callers_are_their_own(run: Run, redis: Server) -> None:
    async def caller(lanes: Lanes, number: int) -> None:
        for step in range(50):
            await echo(lanes, f"{number}/{step}")
            for _ in range((number + step) % 3):
                await asyncio.sleep(0)

    async def scenario() -> None:
        lanes = make_lanes(redis.address, batch=16)
        async with asyncio.TaskGroup() as group:
            for number in range(100):
                group.create_task(caller(lanes, number))
        assert lanes.counters.commands == 5000
        assert lanes.counters.batches < 5000
        assert 2 <= lanes.open_connections <= 4
        await lanes.close()

    run(scenario())


def test_replies_byte_by_byte(run: Run, redis: Server) -> None:
    async def scenario() -> None:
        async with Proxy(redis.path) as proxy:
            proxy.chop = lambda data: [data[i : i + 1] for i in range(len(data))]
            lanes = make_lanes(through(proxy))
            await asyncio.gather(*(echo(lanes, f"tag {number}") for number in range(30)))
            await lanes.close()

    run(scenario())


@pytest.mark.parametrize("turns", range(8))
def test_cancelled_call_keeps_its_place(run: Run, redis: Server, turns: int) -> None:
    async def scenario() -> None:
        lanes = make_lanes(redis.address, connections=1)
        await echo(lanes, "warm")
        leaving = asyncio.create_task(echo(lanes, "leaving"))
        others = [asyncio.create_task(echo(lanes, f"stays {n}")) for n in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait([leaving])
        for number in range(5):
            await echo(lanes, f"after {number}")
        await asyncio.gather(*others)
        await lanes.close()

    run(scenario())


def test_reply_of_a_cancelled_call_is_discarded(run: Run, redis: Server) -> None:
    async def scenario() -> None:
        async with Proxy(redis.path) as proxy:
            lanes = make_lanes(through(proxy), connections=1)
            await echo(lanes, "warm")
            proxy.replies_pass.clear()
            leaving = lanes.call(pack("ECHO", "leaving"))
            staying = lanes.call(pack("ECHO", "staying"))
            await until(lambda: lanes.counters.commands == 3, "the batch")
            leaving.cancel()
            proxy.replies_pass.set()
            assert await staying == b"staying"
            assert lanes.counters.discarded == 1
            await lanes.close()

    run(scenario())


def test_call_that_is_cancelled_before_it_is_sent_is_not_executed(run: Run, redis: Server) -> None:
    async def scenario() -> None:
        lanes = make_lanes(redis.address)
        lanes.call(INCR).cancel()
        await echo(lanes, "after")
        await lanes.close()
        assert await counter(redis) == 0

    run(scenario())


# ---- what breaks


def test_of_a_batch_cut_off_it_is_known_what_was_never_sent(run: Run, redis: Server) -> None:
    async def scenario() -> None:
        async with Proxy(redis.path) as proxy:
            lanes = make_lanes(through(proxy), connections=1, batch=10)
            await echo(lanes, "warm")
            proxy.replies_pass.clear()
            calls = [lanes.call(INCR) for _ in range(40)]
            await until(lambda: lanes.counters.commands == 11, "the first batch")
            await wait_for_counter(redis, 10)
            await proxy.stop()
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(o) for o in outcomes[:10]] == [UnknownOutcomeError] * 10
            assert [type(o) for o in outcomes[10:]] == [NotExecutedError] * 30
            assert "may or may not" in str(outcomes[0])
            await lanes.close()
        assert await counter(redis) == 10

    run(scenario())


def test_what_was_never_sent_takes_another_connection(run: Run, redis: Server) -> None:
    async def scenario() -> None:
        async with Proxy(redis.path) as proxy:
            lanes = make_lanes(through(proxy), connections=1, batch=10)
            await echo(lanes, "warm")
            proxy.replies_pass.clear()
            calls = [lanes.call(INCR) for _ in range(40)]
            await wait_for_counter(redis, 10)
            (relay,) = proxy.relays
            relay.reset()
            proxy.replies_pass.set()
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(o) for o in outcomes[:10]] == [UnknownOutcomeError] * 10
            assert outcomes[10:] == list(range(11, 41)), "counted once each"
            assert lanes.counters.connections_lost == 1
            await lanes.close()

    run(scenario())


async def wait_for_counter(redis: Server, value: int) -> None:
    deadline = time.monotonic() + 5
    while await counter(redis) != value:
        assert time.monotonic() < deadline


@pytest.mark.parametrize("after", [0, 1, 5, 30, 31, 32, 100])
def test_reply_cut_off_in_its_middle_reaches_nobody(run: Run, redis: Server, after: int) -> None:
    async def scenario() -> None:
        async with Proxy(redis.path) as proxy:
            lanes = make_lanes(through(proxy), connections=1)
            await echo(lanes, "warm")
            proxy.relays[0].bytes_left = after
            tags = [f"{number:024d}" for number in range(10)]  # 31 bytes the reply
            calls = [lanes.call(pack("ECHO", tag)) for tag in tags]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            whole = after // len(f"$24\r\n{tags[0]}\r\n")
            # A reset may overtake what was sent before it.
            answered = [o for o in outcomes if isinstance(o, bytes)]
            assert answered == [tag.encode() for tag in tags[: len(answered)]]
            assert len(answered) <= whole
            assert {type(o) for o in outcomes[len(answered) :]} == {UnknownOutcomeError}
            await echo(lanes, "after")
            await lanes.close()

    run(scenario())


@pytest.mark.parametrize("junk", [b"HTTP/1.1 400 Bad Request\r\n", b":1\r\n"])
def test_what_is_no_reply_ends_the_connection(run: Run, redis: Server, junk: bytes) -> None:
    async def scenario() -> None:
        async with Proxy(redis.path) as proxy:
            lanes = make_lanes(through(proxy), connections=1)
            await echo(lanes, "warm")
            proxy.relays[0].push(junk)
            await until(lambda: not lanes.open_connections, "the end of the connection")
            await echo(lanes, "after")
            assert proxy.accepted == 2
            await lanes.close()

    run(scenario())


def test_junk_in_the_stream_makes_what_is_in_flight_unknown(run: Run, redis: Server) -> None:
    async def scenario() -> None:
        async with Proxy(redis.path) as proxy:
            lanes = make_lanes(through(proxy), connections=1)
            await echo(lanes, "warm")
            proxy.requests_pass.clear()
            calls = [lanes.call(INCR) for _ in range(5)]
            await until(lambda: lanes.counters.commands == 6, "the batch")
            proxy.relays[0].push(b"!nonsense\r\n")
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(o) for o in outcomes} == {UnknownOutcomeError}
            assert "no reply" in str(outcomes[0])
            await lanes.close()

    run(scenario())


def test_pushes_of_redis_are_no_replies(run: Run, redis: Server) -> None:
    async def scenario() -> None:
        async with Proxy(redis.path) as proxy:
            passed: list[bytes] = []

            def note(data: bytes) -> list[bytes]:
                passed.append(data)
                return [data]

            proxy.chop = note
            lanes = make_lanes(through(proxy), connections=1)
            assert await lanes.call(pack("CLIENT", "TRACKING", "ON", "BCAST")) == b"OK"
            other = make_lanes(redis.address)
            for number in range(200):
                changed = other.call(pack("SET", f"key {number}", number))
                await echo(lanes, f"tag {number}")
                await changed
            await echo(lanes, "last")
            assert b"".join(passed).count(b"invalidate") > 50
            await other.close()
            await lanes.close()

    run(scenario())


# ---- the storm


def test_no_reply_reaches_the_wrong_caller(run: Run, redis: Server) -> None:
    """`./run bench store` does ten times as many."""

    async def scenario() -> None:
        tally, counters = await storm.run(redis.path, calls=STORM_CALLS, callers=300, seed=7)
        assert tally.wrong == []
        assert tally.calls == STORM_CALLS
        assert tally.right > STORM_CALLS / 2
        assert tally.cancelled > STORM_CALLS / 20
        assert tally.unknown > 100
        assert tally.resets > 50
        assert counters.discarded > 100
        assert counters.commands / counters.batches > 5

    run(scenario())
