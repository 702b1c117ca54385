"""How a worker serves: the store, the application and the engine put together in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import select
import signal
import socket
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import uvloop
from tornado.httputil import HTTPServerConnectionDelegate as Taker

from app import log
from app.config import HttpEngine
from app.errors import StackError, StoreUnavailableError
from app.observation import Observation
from app.planning import PlanningDesk
from app.process.duty import Orders, Wish, beating
from app.process.sockets import listen_tcp
from app.server import make_server
from app.store import RedisStore
from app.telemetry import station
from app.telemetry.catalogue import SOLVE_DURATION
from app.telemetry.station import Nowhere

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import ModuleType

    from tornado.httputil import HTTPConnection, HTTPMessageDelegate
    from tornado.web import Application

    from app.config import Secret, Settings
    from app.identity import Identity
    from app.process import WorkerContext
    from app.server import Server
    from app.telemetry.station import Sources

PROBE_PATH = "/health"
PROBE_TIMEOUT_S = 5.0
_QUEUE_POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class Service:
    """What is served, whoever serves it.

    Attributes:
        redis: URL of Redis with its credentials.
        sources: where the status board finds what is not counted.
    """

    settings: Settings
    identity: Identity
    redis: Secret
    sources: Sources = field(default_factory=Nowhere)

    def run_worker(self, context: WorkerContext) -> None:
        """Serve in a forked worker until SIGTERM, then drain."""
        log.configure(
            as_json=self.settings.logs_json, level=self.settings.log_level, worker=context.slot
        )
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve_worker(context))

    async def _serve_worker(self, context: WorkerContext) -> None:
        orders = Orders()
        servers: list[Server] = []
        observation = Observation(
            self.settings, self.identity, self.sources, context.region, context.slot
        )
        async with observation, self._application(orders.are_to_leave) as (application, store):
            counted = _Counted(application)
            taker = counted if self.settings.recycle_after_requests else application
            await self._answer_own_probe(taker)
            observation.begin(store, lambda: sum(each.open_connections for each in servers))
            orders.listen()
            context.notify_ready()
            with beating(context, counted.requests):
                async with asyncio.TaskGroup() as drains:
                    while orders.wish is not Wish.STOP:
                        server = self._serve(taker, context.listeners)
                        servers[:] = [server]
                        context.pulse.accept(accepting=True)
                        await orders.other_than(Wish.SERVE)
                        context.pulse.accept(accepting=False)
                        within_s = context.drain_timeout_s
                        if orders.is_orphan:
                            within_s -= await _empty_queues(context.listeners, within_s)
                        # One that is called back from standby serves anew while this goes on.
                        drains.create_task(_drain(server, within_s))
                        await orders.other_than(Wish.STAND_BY)

    def _serve(self, application: Taker, listeners: list[socket.socket]) -> Server:
        server = self._make_server(application, behind_proxy=True)
        # A server closes what it is given; the worker may be told to accept again.
        server.add_sockets([listener.dup() for listener in listeners])
        return server

    async def _answer_own_probe(self, application: Taker) -> None:
        """Serve one request of its own, before any of a client.

        Goes through a socket that nobody else knows: at the worker's own the one that it replaces
        would answer as well.

        Raises:
            StackError: the answer is not 200, or there is none in time.
        """
        listener = socket.socket(socket.AF_UNIX)
        listener.settimeout(0)
        listener.bind("")  # the kernel finds a free name, outside the file system
        listener.listen()
        address = listener.getsockname()
        server = self._make_server(application, behind_proxy=True)
        server.add_sockets([listener])
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                status = await _get_status(address, PROBE_PATH)
        except TimeoutError:
            raise StackError(f"{PROBE_PATH} gave no answer in {PROBE_TIMEOUT_S:g} s") from None
        finally:
            await server.drain(0)
        if status != HTTPStatus.OK:
            raise StackError(f"{PROBE_PATH} was answered {status}")

    async def serve_directly(self) -> None:
        """Serve in this process on the service's own ports until SIGTERM or SIGINT."""
        listeners = [
            at for port in self.settings.ports for at in listen_tcp(self.settings.host, port)
        ]
        stopping = _stop_event(signal.SIGTERM, signal.SIGINT)
        observation = Observation.alone(self.settings, self.identity, self.sources)
        async with observation, self._application(stopping.is_set) as (application, store):
            server = self._make_server(application, behind_proxy=False)
            server.add_sockets(listeners)
            observation.begin(store, lambda: server.open_connections)
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
        """The Tornado application, made by the module that the setting APPLICATION names."""
        meter = station.installed().meter
        plans = PlanningDesk(
            co2=self.settings.plan_co2,
            processes=self.settings.plan_processes,
            queue=self.settings.plan_queue,
            deadline_s=self.settings.plan_deadline_s,
            solved_here=meter.observer(SOLVE_DURATION, "event_loop") if meter.counts else None,
            solved_apart=meter.observer(SOLVE_DURATION, "process") if meter.counts else None,
        )
        made: Application = application_module(self.settings).make_application(
            self.settings, self.identity, store, plans, is_draining
        )
        return made

    @contextlib.asynccontextmanager
    async def _application(
        self, is_draining: Callable[[], bool]
    ) -> AsyncIterator[tuple[Application, RedisStore]]:
        store = self.make_store()
        try:
            # So that the first request finds the connection. A Redis that is away delays no start.
            with contextlib.suppress(StoreUnavailableError):
                await store.ping()
            yield self.make_application(store, is_draining), store
        finally:
            await store.close()

    def _make_server(self, application: Taker, *, behind_proxy: bool) -> Server:
        return make_server(
            cast("Application", application),
            stock=self.settings.http_engine is HttpEngine.STOCK,
            max_body_bytes=self.settings.max_body_bytes,
            behind_proxy=behind_proxy,
            refused=getattr(application, "refused", None),
        )


def application_module(settings: Settings) -> ModuleType:
    """The module that makes the application.

    It has `make_application(settings, identity, store, plans, is_draining)`, as
    `app.web.application` has, and may have `STATIC_FOLDER`, a folder of files for Nginx.

    Raises:
        StackError: there is no such module, or it makes no application.
    """
    name = settings.application
    try:
        found = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # it is there, and what it imports is not
        raise StackError(
            f"There is no Python module {name}; APPLICATION names the one that makes what is served"
        ) from error
    if not hasattr(found, "make_application"):
        raise StackError(
            f"{name} of APPLICATION has no make_application(); see app.web.application"
        )
    return found


class _Counted(Taker):
    """Passes requests on to the application and counts them."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self.refused = getattr(application, "refused", None)
        self._requests = 0

    def requests(self) -> int:
        """How many there were."""
        return self._requests

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """Who takes a request."""
        self._requests += 1
        return self._application.start_request(server_conn, request_conn)

    def on_close(self, server_conn: object) -> None:
        """Pass on that a connection was closed."""
        self._application.on_close(server_conn)


async def _empty_queues(listeners: list[socket.socket], timeout_s: float) -> float:
    """Go on until nobody waits to be accepted; returns the seconds that it took.

    An orphan alone has its sockets. Once they have lost their names nobody new comes, and whoever
    waits there would be cut off with them.
    """
    begun = time.monotonic()
    waiting = select.poll()
    for listener in listeners:
        waiting.register(listener, select.POLLIN)
    while waiting.poll(0) and time.monotonic() - begun < timeout_s:  # noqa: ASYNC110 - the kernel tells
        await asyncio.sleep(_QUEUE_POLL_S)
    return time.monotonic() - begun


async def _drain(server: Server, timeout_s: float) -> None:
    if cut := await server.drain(timeout_s):
        log.get().warning("drain incomplete", connections_cut=cut)


async def _get_status(address: str | bytes, path: str) -> int:
    """The status with which a unix socket answers a GET."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(0)
    await asyncio.get_running_loop().sock_connect(client, address)
    reader, writer = await asyncio.open_unix_connection(sock=client)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n".encode())
        head = await reader.readline()
        return int(head.split()[1])
    except (ValueError, IndexError, OSError) as error:
        raise StackError(f"{path} was not answered in HTTP") from error
    finally:
        writer.close()


def _stop_event(*signals: signal.Signals) -> asyncio.Event:
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in signals:
        loop.add_signal_handler(number, event.set)
    return event
