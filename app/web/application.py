"""The routes: every address that the service answers, in one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tornado.routing import URLSpec

from app.config import AccessLines
from app.log import AccessLog
from app.server import Application
from app.telemetry import station
from app.telemetry.board import Release
from app.telemetry.reporter import Reporter
from app.web import (
    calculator,
    documents,
    health,
    home,
    operations,
    productionplan,
    static_files,
    status,
)
from app.web.assets import Assets
from app.web.handler import JSON, PLAIN_TEXT, NotFoundHandler, Services
from app.web.recording import Recording
from app.web.shortcuts import FixedAnswer, QuickPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.config import Settings
    from app.identity import Identity
    from app.server.application import Shortcut
    from app.web.handler import PlanDesk, Store

FOLDER = Path(__file__).resolve().parent
STATIC_FOLDER = FOLDER / "static"


def make_application(
    settings: Settings,
    identity: Identity,
    store: Store,
    plans: PlanDesk,
    is_draining: Callable[[], bool],
    own: Sequence[URLSpec] | None = None,
) -> Application:
    """The application of one worker, ready to be served.

    Args:
        settings: of the service.
        identity: what the service answers when it is asked who it is.
        store: the way to Redis.
        plans: what computes production plans.
        is_draining: whether the worker is to end.
        own: another service's routes, in place of the page, the calculator and the plan.
    """
    assets = Assets(STATIC_FOLDER)
    found = station.installed()
    release = Release(identity.release, identity.version, identity.commit, 1, "")
    reporter = Reporter(found, settings.environment, release, store.ping)
    demonstrates = own is None
    made = Services(
        settings, identity, store, plans, assets, is_draining, found, reporter, demonstrates
    )
    services = {"services": made}
    routes = [
        URLSpec(r"/health", health.HealthHandler, services),
        URLSpec(r"/ready", health.ReadyHandler, services),
        URLSpec(r"/metadata", health.MetadataHandler, services),
        URLSpec(r"/static/(?P<hashed>[^/]+)", static_files.StaticHandler, services),
        URLSpec(r"/metrics", operations.MetricsHandler, services),
        URLSpec(r"/status", status.StatusHandler, services),
        URLSpec(r"/status/data", operations.StatusDataHandler, services),
        URLSpec(r"/status/events", operations.StatusEventsHandler, services),
        *(_routes(services) if own is None else own),
    ]
    lines = settings.access_log
    log_access = None if lines is AccessLines.NONE else AccessLog().write
    recording = Recording(
        log_access, found.meter, found.tracer, routes, every=lines is AccessLines.ALL
    )
    shortcuts: dict[str, Shortcut] = {
        "/health": FixedAnswer(PLAIN_TEXT, health.HEALTHY, recording),
        "/metadata": FixedAnswer(JSON, health.metadata_of(made), recording),
    }
    if demonstrates:
        shortcuts["/productionplan"] = QuickPlan(plans, recording)
    return Application(
        routes,
        shortcuts=shortcuts,
        default_handler_class=NotFoundHandler,
        default_handler_args=services,
        log_function=recording.handled,
        refused=recording.refused,
        template_path=str(FOLDER / "templates"),
        compiled_template_cache=True,
    )


def _routes(services: dict[str, Services]) -> list[URLSpec]:
    one_operation = r"/calculator/(?P<operation>add|subtract|multiply|divide)"
    return [
        URLSpec(r"/", home.HomeHandler, services),
        URLSpec(r"/calculator", calculator.CalculatorHandler, services),
        URLSpec(one_operation, calculator.OperationHandler, services),
        URLSpec(r"/productionplan", productionplan.ProductionPlanHandler, services),
        URLSpec(r"/docs", documents.DocsHandler, services),
        URLSpec(r"/openapi.json", documents.OpenApiHandler, services),
    ]
