"""How a connection to Redis is made: TCP, TLS or a unix socket, then HELLO, AUTH and SELECT.

redis-py reads the address with all its options (`ConnectionPool.from_url`), makes the TLS context
and provides the credentials; the connection is this package's own from its first byte, because a
reader that took over from redis-py's could not see what that one has read already. The commands of
the handshake travel as one batch, and one round trip makes a connection.
"""

from __future__ import annotations

import asyncio
import math
import socket
from typing import TYPE_CHECKING, Any

from redis.asyncio import ConnectionPool

from app.errors import ConfigError, Fault
from app.store.outcome import UnknownOutcomeError
from app.store.pipeline import Pipeline, pack

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.config import Secret

_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)
"""How an idle connection finds out within 45 s that the other side is no more."""


class Connector:
    """Makes connections to one address.

    Args:
        address: URL of Redis with its credentials, in the form that redis-py documents.
        timeout_s: seconds that making a connection may take, its handshake included.

    Raises:
        ConfigError: the address has an option that redis-py does not know.
    """

    def __init__(self, address: Secret, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        try:
            pool: Any = ConnectionPool.from_url(address, protocol=3)
            # Never connected: it holds what the address says.
            self._target = pool.make_connection()
        except (TypeError, ValueError):
            what = "its options must be those of redis-py, with values of their kinds"
            # What redis-py says may quote the address, and with it the password.
            raise ConfigError(
                "The address of Redis is wrong:", [Fault("REDIS_URL", what)]
            ) from None

    async def connect(self, make: Callable[[], Pipeline]) -> Pipeline:
        """Connect a new pipeline, ready for commands.

        Raises:
            TimeoutError: it took too long.
            OSError: nobody listens there, TLS failed, or the connection ended before it was ready.
            hiredis.ReplyError: Redis refuses the credentials, the protocol or the database.
        """
        pipeline = make()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._open(pipeline)
                await self._greet(pipeline)
        except UnknownOutcomeError as error:
            raise ConnectionError(pipeline.reason) from error
        except BaseException:
            pipeline.end("no connection could be made")
            raise
        return pipeline

    async def _open(self, pipeline: Pipeline) -> None:
        loop = asyncio.get_running_loop()
        target = self._target
        if path := getattr(target, "path", None):
            await loop.create_unix_connection(lambda: pipeline, path)
            return
        context = getattr(target, "ssl_context", None)
        transport, _ = await loop.create_connection(
            lambda: pipeline, target.host, target.port, ssl=context.get() if context else None
        )
        carrier = transport.get_extra_info("socket")
        for level, option, value in _KEEPALIVE:
            carrier.setsockopt(level, option, value)

    async def _greet(self, pipeline: Pipeline) -> None:
        loop = asyncio.get_running_loop()
        commands = [pack(*words) for words in await self._greetings()]
        if not commands:
            return
        # No deadline of their own: `connect` has one for all of it.
        calls = [(command, loop.create_future(), math.inf) for command in commands]
        pipeline.send(calls)
        replies = await asyncio.gather(*(future for _, future, _ in calls), return_exceptions=True)
        for reply in replies:
            if isinstance(reply, BaseException):
                raise reply

    async def _greetings(self) -> list[tuple[str | bytes | int, ...]]:
        target = self._target
        credentials: tuple[str, ...] = ()
        if target.credential_provider is not None:
            credentials = await target.credential_provider.get_credentials_async()
        elif target.username or target.password:
            credentials = (target.username or "default", target.password or "")
        name = ("SETNAME", target.client_name) if target.client_name else ()
        greetings: list[tuple[str | bytes | int, ...]] = []
        if target.protocol == 3:
            user = credentials if len(credentials) == 2 else ("default", *credentials)
            auth = ("AUTH", *user) if credentials else ()
            greetings.append(("HELLO", 3, *auth, *name))
        else:
            # What is older than Redis 6 knows no users.
            known = credentials[1:] if credentials[:1] == ("default",) else credentials
            greetings += [("AUTH", *known)] if credentials else []
            greetings += [("CLIENT", *name)] if name else []
        if target.db:
            greetings.append(("SELECT", target.db))
        return greetings
