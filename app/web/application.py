"""The routes: every address that the service answers, in one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tornado.routing import URLSpec

from app.log import AccessLog
from app.server import Application
from app.web import calculator, documents, health, home, productionplan, static_files, status
from app.web.assets import Assets
from app.web.handler import JSON, PLAIN_TEXT, NotFoundHandler, Services, access_logger
from app.web.shortcuts import FixedAnswer, QuickPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.config import Settings
    from app.identity import Identity
    from app.server.application import Shortcut
    from app.web.handler import PlanDesk, Store
    from app.web.status import Boards

FOLDER = Path(__file__).resolve().parent
STATIC_FOLDER = FOLDER / "static"


def make_application(  # noqa: PLR0913 - each is a part of its own
    settings: Settings,
    identity: Identity,
    store: Store,
    plans: PlanDesk,
    is_draining: Callable[[], bool],
    *,
    own: Sequence[URLSpec] | None = None,
    boards: Boards | None = None,
) -> Application:
    """The application of one worker, ready to be served.

    Args:
        settings: of the service.
        identity: what the service answers when it is asked who it is.
        store: the way to Redis.
        plans: what computes production plans.
        is_draining: whether the worker is to end.
        own: another service's routes, in place of the page, the calculator and the plan.
        boards: knows the state of the whole service; without it there is no page of it.
    """
    assets = Assets(STATIC_FOLDER)
    made = Services(settings, identity, store, plans, assets, is_draining)
    services = {"services": made}
    log_access = AccessLog().write if settings.access_log else _say_nothing
    shortcuts: dict[str, Shortcut] = {
        "/health": FixedAnswer(PLAIN_TEXT, health.HEALTHY, log_access),
        "/metadata": FixedAnswer(JSON, health.metadata_of(made), log_access),
    }
    if own is None:
        own = _routes(services)
        if boards is not None:
            shown = services | {"boards": boards}
            own.append(URLSpec(r"/status", status.StatusHandler, shown))
        shortcuts["/productionplan"] = QuickPlan(plans, log_access)
    return Application(
        [
            URLSpec(r"/health", health.HealthHandler, services),
            URLSpec(r"/ready", health.ReadyHandler, services),
            URLSpec(r"/metadata", health.MetadataHandler, services),
            URLSpec(r"/static/([^/]+)", static_files.StaticHandler, services),
            *own,
        ],
        shortcuts=shortcuts,
        default_handler_class=NotFoundHandler,
        default_handler_args=services,
        log_function=access_logger(log_access) if settings.access_log else _say_nothing,
        template_path=str(FOLDER / "templates"),
        compiled_template_cache=True,
    )


def _routes(services: dict[str, Services]) -> list[URLSpec]:
    operations = r"/calculator/(add|subtract|multiply|divide)"
    return [
        URLSpec(r"/", home.HomeHandler, services),
        URLSpec(r"/calculator", calculator.CalculatorHandler, services),
        URLSpec(operations, calculator.OperationHandler, services),
        URLSpec(r"/productionplan", productionplan.ProductionPlanHandler, services),
        URLSpec(r"/docs", documents.DocsHandler, services),
        URLSpec(r"/openapi.json", documents.OpenApiHandler, services),
    ]


def _say_nothing(*_handler: object, **_line: object) -> None:
    """Write no access line."""
