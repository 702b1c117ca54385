"""The application of a worker, with a store in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app import config, identity
from app.planning import PlanningDesk
from app.web import make_application

if TYPE_CHECKING:
    from app.server import Application

_SETTINGS = {"ENVIRONMENT": "PROD", "ACCESS_LOG": "no"}
_IDENTITY = identity.Identity("1.0", "0" * 40, "1.0-0000000")


class _Store:
    """Counts visits where Redis would."""

    def __init__(self) -> None:
        self._visits = 0

    async def count_visit(self) -> int:
        """Add one visit."""
        self._visits += 1
        return self._visits

    async def visits(self) -> int:
        """How many there were."""
        return self._visits

    async def ping(self) -> None:
        """It is always there."""


def application() -> Application:
    """The application, ready to be asked."""
    settings = config.load(config.Sources(_SETTINGS, None))
    desk = PlanningDesk(co2=True, processes=1, queue=1, deadline_s=10.0)
    return make_application(settings, _IDENTITY, _Store(), desk, lambda: False)
