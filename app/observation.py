"""What a process that serves does so that others can see how it is: counts, vitals, traces."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from importlib import import_module
from typing import TYPE_CHECKING, Self

from app import log
from app.errors import StackError
from app.identity import APP_NAME
from app.telemetry import station
from app.telemetry.memory import Memory, Origin
from app.telemetry.meter import NOBODY, Meter
from app.telemetry.station import Station
from app.telemetry.totals import WORKER
from app.telemetry.trace import PassOn
from app.telemetry.vitals import Vitals

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.config import Settings
    from app.identity import Identity
    from app.telemetry.memory import Region
    from app.telemetry.station import Sources
    from app.telemetry.trace import Tracer
    from app.telemetry.vitals import Store

CLOSE_TIMEOUT_S = 3.0
_EXTRA = ("opentelemetry", "google", "requests")


class Observation:
    """The telemetry of one process; made before its application, which finds it installed.

    Args:
        settings: of the service.
        identity: of the release that runs.
        sources: where the board finds what is not counted.
        region: where the process counts; None: nowhere.
        slot: of the worker.
    """

    def __init__(
        self,
        settings: Settings,
        identity: Identity,
        sources: Sources,
        region: Region | None,
        slot: int = 0,
    ) -> None:
        self._region = region if settings.metrics else None
        self._origin = Origin(
            WORKER, slot, os.getpid(), time.time(), identity.version, identity.commit,
            identity.release,
        )  # fmt: skip
        self._vitals: Vitals | None = None
        self.meter = NOBODY if self._region is None else Meter(self._region)
        self._tracer = make_tracer(settings, identity)
        memory = None if self._region is None else self._region.memory
        station.install(Station(self.meter, memory, self._tracer, sources))

    @classmethod
    def alone(cls, settings: Settings, identity: Identity, sources: Sources) -> Observation:
        """That of a process without a master, which counts in memory of its own."""
        region = Memory.make().free(frozenset()) if settings.metrics else None
        if region is not None:
            region.assign(os.getpid())
        return cls(settings, identity, sources, region)

    def begin(self, store: Store, connections: Callable[[], int]) -> None:
        """Show what is counted from now on; what came before, the process's own try, is forgotten.

        Args:
            store: the way to Redis.
            connections: tells how many clients are connected.
        """
        if self._region is not None:
            self._region.zero()
            self._region.sign(self._origin)
        self._vitals = Vitals(self.meter, store, connections)
        self._vitals.start()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Show the last, and hand on the lines and traces that are left."""
        log.flush()
        if self._vitals is not None:
            self._vitals.stop()
        if self._tracer.sends:
            # Nobody waits for a collector that is slow or away.
            closing = threading.Thread(target=self._tracer.close, daemon=True)
            closing.start()
            await asyncio.to_thread(closing.join, CLOSE_TIMEOUT_S)


def make_tracer(settings: Settings, identity: Identity) -> Tracer:
    """What is done with traces.

    Raises:
        StackError: they are to be sent, and what sends them is not installed.
    """
    if settings.otlp_endpoint is None:
        return PassOn()
    try:
        export = import_module("app.telemetry.export")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise StackError(
            f"OTLP_ENDPOINT needs the packages of windlass[otel], and {error.name} is not there; "
            "install them (docs/monitoring.md), or leave the setting empty"
        ) from error
    attributes = {
        "service.name": APP_NAME.lower(),
        "service.version": identity.version,
        "service.instance.id": str(os.getpid()),
        "deployment.environment.name": settings.environment,
    }
    tracer: Tracer = export.Exporter(settings.otlp_endpoint, settings.trace_percent, attributes)
    return tracer
