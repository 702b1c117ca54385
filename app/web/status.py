"""`/status`: the board as a page.

The page is whole as it is rendered here. With JavaScript it stays so: each event of /status/events
brings new points for the plots and has the page's own parts fetched anew, so that the words are
made in one place (`app.web.boardview`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from app.web.boardview import plots_of, view_of
from app.web.handler import AppHandler

if TYPE_CHECKING:
    from app.telemetry.board import Board
    from app.web.handler import Services


class Boards(Protocol):
    """Knows the state of the whole service."""

    async def current(self) -> Board:
        """The board as it is now."""


class StatusHandler(AppHandler):
    """`GET /status`."""

    def initialize(self, services: Services, boards: Boards) -> None:  # type: ignore[override]
        """Take the services, and the source of boards; called by Tornado for each request."""
        super().initialize(services)
        self._boards = boards

    async def get(self) -> None:
        """Show the board."""
        board = await self._boards.current()
        self.render("status.html", view=view_of(board), plots=plots_of(board), board=board)
