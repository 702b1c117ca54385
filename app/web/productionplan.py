"""`POST /productionplan`: the cheapest plan that meets a load."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.errors import Fault, InvalidInputError
from app.web.handler import AppHandler
from app.web.negotiation import JSON, media_type

if TYPE_CHECKING:
    from asyncio import Future

_SWITCH = {"": False, "false": False, "0": False, "true": True, "1": True}


class ProductionPlanHandler(AppHandler):
    """`POST /productionplan`, with `?details=true` for an answer that explains itself."""

    _computation: Future[bytes] | None = None

    async def post(self) -> None:
        """Answer with each plant's output, in merit order."""
        media_type(self.request, JSON)
        details = self._details()
        body, desk = self.request.body, self.services.plans
        answer = desk.answer_at_once(body, details=details)
        if answer is None:
            self._computation = asyncio.ensure_future(desk.answer(body, details=details))
            try:
                answer = await self._computation
            except asyncio.CancelledError:
                return  # the client has gone; there is nobody to answer
        self.finish_as(JSON, answer)

    def _details(self) -> bool:
        """Whether the answer is to explain itself."""
        if not self.request.query:
            return False
        details = _SWITCH.get(self.get_query_argument("details", "").lower())
        if details is None:
            raise InvalidInputError(
                "The request is not valid", [Fault("/details", "must be true or false")]
            )
        return details

    def on_connection_close(self) -> None:
        """Give up what nobody waits for any more."""
        if self._computation is not None:
            self._computation.cancel()
