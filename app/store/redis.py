"""The store on redis-py's asyncio client, its replies parsed by hiredis."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError

from app import log
from app.errors import StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from app.config import Secret

COUNTER_KEY = "counter"


class RedisStore:
    """A worker's way to Redis.

    Must be made inside the event loop that uses it, after the fork: connections do not survive
    either being shared. Connects when first needed, so a Redis that is down delays no start.

    Args:
        address: URL of Redis with its credentials.
        timeout_s: seconds after which an answer counts as none, connecting included.
        connections: the most connections held; calls beyond wait for one within `timeout_s`.
    """

    def __init__(self, address: Secret, *, timeout_s: float, connections: int) -> None:
        self._timeout_s = timeout_s
        self._pool = redis.BlockingConnectionPool.from_url(
            address,
            max_connections=connections,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            protocol=3,
        )
        self._client = redis.Redis(connection_pool=self._pool)

    async def count_visit(self) -> int:
        """Add one visit and return how many there are.

        Raises:
            StoreUnavailableError: Redis did not answer; the visit may or may not be counted.
            StoreError: it refuses, because what it keeps there is no number for instance.
        """
        return int(await self._in_time(self._client.incr(COUNTER_KEY)))

    async def visits(self) -> int:
        """Return how many visits there are.

        Raises:
            StoreUnavailableError: Redis did not answer.
            StoreError: what it keeps there is no number.
        """
        found = await self._in_time(self._client.get(COUNTER_KEY))
        try:
            return int(found or 0)
        except ValueError as error:
            raise StoreError(f"Redis keeps no number under {COUNTER_KEY!r}") from error

    async def ping(self) -> None:
        """Return once Redis has answered.

        Raises:
            StoreUnavailableError: it did not.
        """
        await self._in_time(self._client.ping())

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()
        await self._pool.disconnect()

    async def _in_time(self, call: Awaitable[Any]) -> Any:  # noqa: ANN401 - redis-py's own type
        try:
            async with asyncio.timeout(self._timeout_s):
                return await call
        except TimeoutError as error:
            raise StoreUnavailableError(
                f"Redis gave no answer within {self._timeout_s * 1000:.0f} ms"
            ) from error
        except OutOfMemoryError as error:
            raise StoreUnavailableError("Redis has no memory left") from error
        except ResponseError as error:
            raise StoreError(f"Redis refuses the command: {log.mask(str(error))}") from error
        except (RedisError, OSError) as error:
            raise StoreUnavailableError(f"Redis failed: {log.mask(str(error))}") from error
