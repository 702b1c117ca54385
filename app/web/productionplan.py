"""`POST /productionplan`: the cheapest plan that meets a load."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.errors import Fault, InvalidInputError
from app.web.handler import AppHandler
from app.web.negotiation import JSON, media_type

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Awaitable

_SWITCH = {"": False, "false": False, "0": False, "true": True, "1": True}


class ProductionPlanHandler(AppHandler):
    """`POST /productionplan`, with `?details=true` for an answer that explains itself."""

    _computation: Future[bytes] | None = None

    def post(self) -> Awaitable[None] | None:
        """Answer with each plant's output, in merit order; a coroutine only where it has to be."""
        media_type(self.request, JSON)
        details = self._details()
        answer = self.services.plans.answer_at_once(self.request.body, details=details)
        if answer is None:
            return self._answer_later(details=details)
        self.finish_as(JSON, answer)
        return None

    async def _answer_later(self, *, details: bool) -> None:
        self._computation = asyncio.ensure_future(
            self.services.plans.answer(self.request.body, details=details)
        )
        try:
            self.finish_as(JSON, await self._computation)
        except asyncio.CancelledError:
            return  # the client has gone; there is nobody to answer

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
