"""What the tests of the store do with a real Redis."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from app.store.pipeline import pack
from benchmarks.store.lanes import make_lanes

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from app.store.lanes import Lanes
    from benchmarks.store.proxy import Proxy
    from benchmarks.store.server import Server

    Run = Callable[[Coroutine[Any, Any, None]], None]

TIMEOUT_S = 5.0


async def flush(redis: Server) -> None:
    """Empty it."""
    lanes = make_lanes(redis.address)
    assert await lanes.call(pack("FLUSHALL")) == b"OK"
    await lanes.close()


def through(proxy: Proxy) -> str:
    """The address of the Redis behind a proxy."""
    return f"redis://127.0.0.1:{proxy.port}/0"


async def until(condition: Callable[[], object], what: str, timeout_s: float = 5.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s in vain for: {what}"
        await asyncio.sleep(0.001)


async def echo(lanes: Lanes, tag: str) -> None:
    """Have Redis say something back."""
    assert await lanes.call(pack("ECHO", tag)) == tag.encode()
