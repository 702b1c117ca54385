"""The store of the service: what it keeps in Redis, and the errors of keeping it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import hiredis

from app.errors import StoreError
from app.store.breaker import Breaker
from app.store.connecting import Connector
from app.store.lanes import Lanes
from app.store.outcome import refusal
from app.store.pipeline import pack

if TYPE_CHECKING:
    from app.config import Secret
    from app.store.counters import Counters

COUNTER_KEY = "counter"

_COUNT = pack("INCR", COUNTER_KEY)
_READ = pack("GET", COUNTER_KEY)

_FAILURES_THAT_OPEN = 3
_SHORTEST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 0.8


class RedisStore:
    """A worker's way to Redis.

    Must be used inside one event loop only, after the fork: connections do not survive either being
    shared. Connects when first needed, so a Redis that is down delays no start.

    Args:
        address: URL of Redis with its credentials.
        timeout_s: seconds after which an answer counts as none, connecting included.
        connections: the most connections held.
        queue: the most calls that wait for a connection; those beyond it fail at once.
        batch: the most commands sent in one piece.
    """

    def __init__(
        self,
        address: Secret,
        *,
        timeout_s: float,
        connections: int,
        queue: int = 4096,
        batch: int = 64,
    ) -> None:
        self._breaker = Breaker(
            threshold=_FAILURES_THAT_OPEN,
            shortest_s=_SHORTEST_PAUSE_S,
            longest_s=_LONGEST_PAUSE_S,
            random=random.random,
        )
        self._lanes = Lanes(
            Connector(address, timeout_s=timeout_s),
            self._breaker,
            timeout_s=timeout_s,
            connections=connections,
            queue=queue,
            batch=batch,
        )

    @property
    def is_away(self) -> bool:
        """Whether calls fail at once because Redis has not answered for a while."""
        return self._breaker.is_open

    @property
    def open_connections(self) -> int:
        """How many connections stand."""
        return self._lanes.open_connections

    @property
    def most_connections(self) -> int:
        """How many connections may stand."""
        return self._lanes.most_connections

    @property
    def in_flight(self) -> int:
        """Commands sent that have no reply yet."""
        return self._lanes.in_flight

    @property
    def waiting(self) -> int:
        """Commands that wait to be sent."""
        return self._lanes.waiting

    def counters(self) -> Counters:
        """What the store has counted of its own work until now."""
        return self._lanes.counters.copy()

    async def count_visit(self) -> int:
        """Add one visit and return how many there are.

        Raises:
            StoreUnavailableError: Redis did not answer. Its kind and its message say whether the
                visit is certainly not counted or whether that is unknown.
            StoreError: it refuses, because what it keeps there is no number for instance.
        """
        reply = await self._lanes.call(_COUNT)
        if type(reply) is int:
            return reply
        raise _unexpected(reply)

    async def visits(self) -> int:
        """Return how many visits there are.

        Raises:
            StoreUnavailableError: Redis did not answer.
            StoreError: what it keeps there is no number.
        """
        reply = await self._lanes.call(_READ)
        if reply is None:
            return 0
        if not isinstance(reply, bytes):
            raise _unexpected(reply)
        try:
            return int(reply)
        except ValueError as error:
            raise StoreError(f"Redis keeps no number under {COUNTER_KEY!r}") from error

    async def ping(self) -> None:
        """Return once Redis has answered.

        Raises:
            StoreUnavailableError: it did not.
            StoreError: it refuses the command.
        """
        reply = await self._lanes.ping()
        if reply != b"PONG":
            raise _unexpected(reply)

    async def close(self) -> None:
        """End every connection; calls that wait fail."""
        await self._lanes.close()


def _unexpected(reply: object) -> StoreError:
    if isinstance(reply, hiredis.ReplyError):
        return refusal(reply)
    return StoreError(f"Redis answers with what the command never returns ({type(reply).__name__})")
