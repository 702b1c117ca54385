"""A real Redis, and the event loops on which the store is tried."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import uvloop

from benchmarks.store.server import Server, running
from tests.real_redis import flush

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.real_redis import Run


@pytest.fixture(scope="module")
def redis() -> Iterator[Server]:
    """One Redis for all tests of a module."""
    with running() as server:
        yield server


@pytest.fixture(params=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest, redis: Server) -> Iterator[Run]:
    """Run a coroutine on the event loop of production, and on asyncio's own, on an empty Redis."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(flush(redis))
        yield runner.run
