"""`/health`, `/ready` and `/metadata`: what load balancers and operators ask."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import msgspec
import tornado

from app.errors import StoreUnavailableError
from app.web.handler import JSON, PLAIN_TEXT, AppHandler
from app.web.problems import NotReadyError

if TYPE_CHECKING:
    from app.web.handler import Services

HEALTHY = b"OK\n"


class Metadata(msgspec.Struct):
    """What a build is and what it runs on.

    Attributes:
        last_commit_sha: full SHA-1, or "Development".
        release: name of the release, or "checkout".
        python: its version.
        tornado: its version.
    """

    app_name: str
    version: str
    last_commit_sha: str
    description: str
    environment: str
    release: str
    python: str
    tornado: str


def metadata_of(services: Services) -> bytes:
    """What this build is and what it runs on, as JSON."""
    identity = services.identity
    return msgspec.json.encode(
        Metadata(
            app_name=identity.name,
            version=identity.version,
            last_commit_sha=identity.commit,
            description=identity.description,
            environment=services.settings.environment,
            release=identity.release,
            python=platform.python_version(),
            tornado=tornado.version,
        )
    )


class HealthHandler(AppHandler):
    """`GET /health`: the process lives. Needs nothing else, so that it tells nothing else."""

    def get(self) -> None:
        """Answer OK."""
        self.finish_as(PLAIN_TEXT, HEALTHY)


class ReadyHandler(AppHandler):
    """`GET /ready`: this worker can serve everything that it has."""

    async def get(self) -> None:
        """Answer 200, or 503 with the reason."""
        if self.services.is_draining():
            raise NotReadyError("It is draining: another is about to take its place")
        try:
            await self.services.store.ping()
        except StoreUnavailableError as error:
            raise NotReadyError(str(error)) from error
        self.finish_text("ready\n")


class MetadataHandler(AppHandler):
    """`GET /metadata`: what this build is and what it runs on."""

    def get(self) -> None:
        """Answer with the metadata as JSON."""
        self.finish_as(JSON, metadata_of(self.services))
