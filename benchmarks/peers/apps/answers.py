"""What every peer answers, whatever its framework: the application's own answers.

Plans are decoded, solved, checked and encoded by the very code of `app.planning`.
"""

from __future__ import annotations

import os
import platform
import re
import uuid
from functools import cache
from importlib import metadata
from pathlib import Path

from jinja2 import (  # type: ignore[import-not-found]
    Environment,
    FileSystemLoader,
    select_autoescape,
)

from app import identity
from app.planning import work
from benchmarks.peers.apps.names import REDIS_VARIABLE

HEALTH = "OK\n"
HTML = "text/html; charset=utf-8"
JSON = "application/json"
COUNTER_KEY = "counter"
_ENVIRONMENT = "PROD"
_FOLDER = Path(__file__).resolve().parent
_IDENTITY = identity.identify(_FOLDER.parents[2])
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
# In place of the hash that the application puts into the names of its files.
_HASH = "0123456789ab"


def redis_url() -> str:
    """Where Redis is."""
    return os.environ[REDIS_VARIABLE]


def headers(given_id: str | None) -> dict[str, str]:
    """The headers that every answer carries, for a request that came with this id or with none."""
    known = given_id and _REQUEST_ID.fullmatch(given_id)
    return {
        "X-Request-ID": given_id if given_id and known else uuid.uuid4().hex,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }


@cache
def _version(package: str) -> str:
    return metadata.version(package)


def describe(framework: str) -> dict[str, str]:
    """The answer to `/metadata`, where the framework stands in Tornado's place."""
    return {
        "app_name": identity.APP_NAME,
        "version": _IDENTITY.version,
        "last_commit_sha": _IDENTITY.commit,
        "description": identity.DESCRIPTION,
        "environment": _ENVIRONMENT,
        "release": _IDENTITY.release,
        "python": platform.python_version(),
        framework: _version(framework),
    }


def wants_html(accept: str | None) -> bool:
    """Whether a client asks for HTML; the application looks closer."""
    return accept is not None and "text/html" in accept


def _asset(name: str) -> str:
    stem, _, suffix = name.partition(".")
    return f"/static/{stem}.{_HASH}.{suffix}"


_templates = Environment(
    loader=FileSystemLoader(_FOLDER / "templates"), autoescape=select_autoescape()
)
_templates.globals.update(
    asset=_asset,
    demonstrates=True,
    environment=_ENVIRONMENT,
    release=_IDENTITY.release,
    commit=_IDENTITY.commit,
    title=_IDENTITY.title,
)
_home = _templates.get_template("home.html")


def page(counter: int) -> str:
    """The page with the counter."""
    rendered: str = _home.render(counter=counter)
    return rendered


def plan(body: bytes) -> bytes:
    """The answer to a request for a production plan, in JSON.

    Raises:
        app.errors.AppError: the request is wrong, or no plan meets its load.
    """
    return work.compute(body, co2=True, details=False, quick=True)
