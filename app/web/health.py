"""`/health`, `/ready` and `/metadata`: what load balancers and operators ask."""

from __future__ import annotations

import platform

import tornado

from app.errors import StoreUnavailableError
from app.identity import APP_NAME, DESCRIPTION
from app.web.handler import AppHandler
from app.web.problems import NotReadyError


class HealthHandler(AppHandler):
    """`GET /health`: the process lives. Needs nothing else, so that it tells nothing else."""

    def get(self) -> None:
        """Answer OK."""
        self.finish_text("OK\n")


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
        identity = self.services.identity
        self.finish_json(
            {
                "app_name": APP_NAME,
                "version": identity.version,
                "last_commit_sha": identity.commit,
                "description": DESCRIPTION,
                "environment": self.services.settings.environment,
                "release": identity.release,
                "python": platform.python_version(),
                "tornado": tornado.version,
            }
        )
