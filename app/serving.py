"""How a worker serves: the store, the application and the engine put together in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvloop

from app import log
from app.config import HttpEngine
from app.planning import PlanningDesk
from app.process.sockets import listen_tcp
from app.server import make_server
from app.store import RedisStore
from app.web import make_application

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable

    from tornado.web import Application

    from app.config import Secret, Settings
    from app.identity import Identity
    from app.process import WorkerContext
    from app.server import Server


@dataclass(frozen=True, slots=True)
class Service:
    """What is served, whoever serves it.

    Attributes:
        redis: URL of Redis with its credentials.
    """

    settings: Settings
    identity: Identity
    redis: Secret

    def run_worker(self, context: WorkerContext) -> None:
        """Serve in a forked worker until SIGTERM, then drain."""
        log.configure(
            as_json=self.settings.logs_json, level=self.settings.log_level, worker=context.slot
        )
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve_worker(context))

    async def _serve_worker(self, context: WorkerContext) -> None:
        stopping = _stop_event(signal.SIGTERM)
        async with self._running(context.listeners, stopping, behind_proxy=True) as server:
            context.notify_ready()
            await stopping.wait()
            cut = await server.drain(context.drain_timeout_s)
        if cut:
            log.get().warning("drain incomplete", connections_cut=cut)

    async def serve_directly(self) -> None:
        """Serve in this process on the service's own ports until SIGTERM or SIGINT."""
        listeners = [
            at for port in self.settings.ports for at in listen_tcp(self.settings.host, port)
        ]
        stopping = _stop_event(signal.SIGTERM, signal.SIGINT)
        async with self._running(listeners, stopping, behind_proxy=False) as server:
            await stopping.wait()
            await server.drain(1.0)

    def make_store(self) -> RedisStore:
        """The way to Redis; to be made in the process that uses it."""
        return RedisStore(
            self.redis,
            timeout_s=self.settings.redis_timeout_ms / 1000,
            connections=self.settings.redis_connections,
        )

    def make_application(self, store: RedisStore, is_draining: Callable[[], bool]) -> Application:
        """The Tornado application."""
        plans = PlanningDesk(
            co2=self.settings.plan_co2,
            processes=self.settings.plan_processes,
            queue=self.settings.plan_queue,
            deadline_s=self.settings.plan_deadline_s,
        )
        return make_application(self.settings, self.identity, store, plans, is_draining)

    @contextlib.asynccontextmanager
    async def _running(
        self, listeners: list[socket.socket], stopping: asyncio.Event, *, behind_proxy: bool
    ) -> AsyncIterator[Server]:
        store = self.make_store()
        server = make_server(
            self.make_application(store, stopping.is_set),
            stock=self.settings.http_engine is HttpEngine.STOCK,
            max_body_bytes=self.settings.max_body_bytes,
            behind_proxy=behind_proxy,
        )
        server.add_sockets(listeners)
        try:
            yield server
        finally:
            await store.close()


def _stop_event(*signals: signal.Signals) -> asyncio.Event:
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in signals:
        loop.add_signal_handler(number, event.set)
    return event
