"""`/status`: the board as a page, for operators.

The page is whole as it is rendered here. With JavaScript it stays so: each event of /status/events
brings new points for the plots and has the page's own parts fetched anew, so that the words are
made in one place (`app.web.boardview`).
"""

from __future__ import annotations

import msgspec

from app.telemetry.board import Board
from app.web.boardview import plots_of, view_of
from app.web.operator import OperatorHandler


class StatusHandler(OperatorHandler):
    """`GET /status`."""

    async def get(self) -> None:
        """Show the board, at most a second old."""
        document = await self.services.reporter.document()
        board = msgspec.json.decode(document, type=Board)
        self.render("status.html", view=view_of(board), plots=plots_of(board), board=board)
