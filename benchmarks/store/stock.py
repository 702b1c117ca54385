"""The same calls by redis-py's own asyncio client: a connection for each call that is in flight."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app.store.redis import COUNTER_KEY

if TYPE_CHECKING:
    from app.config import Secret


class StockStore:
    """redis-py with hiredis, a pool that calls wait for, and one timeout around each call."""

    def __init__(self, address: Secret, *, timeout_s: float, connections: int) -> None:
        self._timeout_s = timeout_s
        pool: Any = redis.BlockingConnectionPool.from_url(
            address,
            max_connections=connections,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            protocol=3,
        )
        self._pool = pool
        self._client = redis.Redis(connection_pool=pool)

    async def count_visit(self) -> int:
        """Add one visit and return how many there are."""
        async with asyncio.timeout(self._timeout_s):
            return int(await self._client.incr(COUNTER_KEY))

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()
        await self._pool.disconnect()
