"""The routes of this service; `/health`, `/ready` and `/metadata` are the runtime's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado.routing import URLSpec
from tornado.web import RequestHandler

from app.web.application import make_application as make_windlass

if TYPE_CHECKING:
    from collections.abc import Callable

    from tornado.web import Application

    from app.config import Settings
    from app.identity import Identity
    from app.web.handler import PlanDesk, Store


class HelloHandler(RequestHandler):
    """`GET /`."""

    def initialize(self, *, store: Store) -> None:
        """Take what the handler works with."""
        self._store = store

    async def get(self) -> None:
        """Greet, and say how often."""
        visits = await self._store.count_visit()
        self.finish(f"Hello, visitor {visits}!\n")


def make_application(
    settings: Settings,
    identity: Identity,
    store: Store,
    plans: PlanDesk,
    is_draining: Callable[[], bool],
) -> Application:
    """The application of one worker."""
    own = [URLSpec(r"/", HelloHandler, {"store": store})]
    return make_windlass(settings, identity, store, plans, is_draining, own)
