"""Whether this configuration and release are fit to serve: `windlass check`.

A master asks this before it loads new code in its own place, and a deployment before it switches.
Nothing that runs is touched: what is rendered goes to a temporary folder.
"""

from __future__ import annotations

import tempfile
from configparser import RawConfigParser
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tornado.template import Loader

from app import config
from app.errors import AppError, StackError
from app.observation import make_tracer
from app.stack import lifecycle, render

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.config import Sources
    from app.serving import Service
    from app.stack.plan import Plan


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    Attributes:
        name: of what was checked.
        verdict: ok, warning or failed; only the last makes a release unfit.
        reason: what was found.
    """

    name: str
    verdict: str
    reason: str


def check_settings(sources: Sources) -> list[Finding]:
    """Whether the settings are right and the `.env` file has no slip of the pen."""
    try:
        config.load(sources)
    except AppError as error:
        return [Finding("settings", "failed", str(error))]
    warnings = [Finding("settings", "warning", str(fault)) for fault in sources.unknown()]
    return warnings or [Finding("settings", "ok", "every value is allowed")]


def check_release(service: Service, make_plan: Callable[[], Plan]) -> list[Finding]:
    """Whether the application can be made and Nginx and supervisord accept their configuration."""
    return [
        _check("application", lambda: _make(service)),
        _check("configuration", lambda: _try_configuration(make_plan())),
    ]


def _check(name: str, attempt: Callable[[], str]) -> Finding:
    try:
        return Finding(name, "ok", attempt())
    except AppError as error:
        return Finding(name, "failed", str(error))
    except Exception as error:  # noqa: BLE001 - whatever breaks here would break a worker
        return Finding(name, "failed", f"{type(error).__name__}: {error}")


def _make(service: Service) -> str:
    make_tracer(service.settings, service.identity).close()
    application = service.make_application(service.make_store(), lambda: False)
    templates = Path(application.settings["template_path"])
    names = [path.name for path in sorted(templates.glob("*.html"))]
    loader = Loader(str(templates))
    for name in names:
        loader.load(name)
    return f"release {service.identity.release}, {len(names)} templates"


def _try_configuration(plan: Plan) -> str:
    with tempfile.TemporaryDirectory(prefix="windlass-check-") as folder:
        trial = replace(plan, output=Path(folder))
        render.write(trial)
        lifecycle.test_nginx(trial)
        parser = RawConfigParser(strict=True)
        parser.read_string(trial.supervisord_conf.read_text())
        if not parser.has_section("program:web"):
            raise StackError("supervisord's configuration does not run the program web")
    redis = f", Redis {plan.redis.version_text}" if plan.redis else ""
    return f"Nginx {plan.nginx.version_text} accepts it{redis}"
