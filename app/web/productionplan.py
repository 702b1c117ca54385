"""`/productionplan`: the cheapest plan that meets a load, by JSON or by the form of a page."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from app.errors import (
    BusyError,
    DispatchError,
    Fault,
    FaultyInputError,
    InfeasibleLoadError,
    InvalidInputError,
)
from app.planning import DetailedAnswer
from app.web import planform
from app.web.charts import merit_chart
from app.web.handler import AppHandler
from app.web.negotiation import JSON, has_form, media_type

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Awaitable

    from app.web.planform import Draft

_SWITCH = {"": False, "false": False, "0": False, "true": True, "1": True}


class ProductionPlanHandler(AppHandler):
    """`POST`: plans, with `?details=true` for an answer that explains itself; `GET`: the form."""

    _computation: Future[bytes] | None = None

    def get(self) -> None:
        """Show the form, filled with an example."""
        text = self.get_query_argument("example", str(planform.DEFAULT_EXAMPLE))
        numbers = {str(number): number for number in planform.EXAMPLES}
        if text not in numbers:
            allowed = f"must be one of {', '.join(numbers)}"
            raise InvalidInputError("There is no such example", [Fault("/example", allowed)])
        self._show(planform.example(numbers[text]), shown_example=numbers[text])

    def post(self) -> Awaitable[None] | None:
        """Answer with each plant's output, in merit order; a coroutine only where it has to be."""
        # The form is of the page: who does not want pages sends JSON.
        if has_form(self.request) and self.prefers_html():
            return self._answer_form()
        media_type(self.request, JSON)
        details = self._details()
        answer = self.services.plans.answer_at_once(self.request.body, details=details)
        if answer is None:
            return self._answer_later(details=details)
        self.finish_as(JSON, answer)
        return None

    async def _answer_later(self, *, details: bool) -> None:
        answer = await self._compute(self.request.body, details=details)
        if answer is not None:
            self.finish_as(JSON, answer)

    async def _compute(self, body: bytes, *, details: bool) -> bytes | None:
        """The answer of a process of its own; None where the client has gone."""
        self._computation = asyncio.ensure_future(self.services.plans.answer(body, details=details))
        try:
            return await self._computation
        except asyncio.CancelledError:
            return None

    async def _answer_form(self) -> None:
        draft = planform.read(
            lambda name: self.get_body_argument(name, "", strip=False),
            list(self.request.body_arguments),
        )
        if self.get_body_argument("add", ""):
            self._show(draft.with_plant(), focus=len(draft.plants))
            return
        removed = self.get_body_argument("remove", "")
        if removed.isdecimal() and len(removed) < 5:
            self._show(draft.without_plant(int(removed)))
            return
        body = draft.payload()
        try:
            answer = self.services.plans.answer_at_once(body, details=True)
            if answer is None:
                answer = await self._compute(body, details=True)
        except BusyError:
            raise
        except (FaultyInputError, DispatchError) as error:
            self.set_status(422)
            self._show(draft, error=error)
            return
        if answer is not None:
            self._show(draft, answer=msgspec.json.decode(answer, type=DetailedAnswer))

    def _show(
        self,
        draft: Draft,
        *,
        answer: DetailedAnswer | None = None,
        error: FaultyInputError | DispatchError | None = None,
        shown_example: int | None = None,
        focus: int | None = None,
    ) -> None:
        """Render the page.

        Args:
            draft: what the form holds.
            answer: the plan, if there is one.
            error: why there is none.
            shown_example: the example that the form holds unchanged.
            focus: the plant whose first field is to have the focus.
        """
        faults = error.faults if isinstance(error, FaultyInputError) else ()
        self.render(
            "productionplan.html",
            draft=draft,
            faults={fault.where: fault.message for fault in faults},
            error=error,
            nearest=_nearest(error),
            answer=answer,
            chart=merit_chart(answer) if answer and answer.plants else None,
            examples=planform.EXAMPLES,
            shown_example=shown_example,
            kinds=planform.KINDS,
            names_of_kinds=planform.NAMES_OF_KINDS,
            focus=focus,
            has_room=len(draft.plants) < planform.MOST_PLANTS,
        )

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


def _nearest(error: Exception | None) -> list[float]:
    """The loads nearest to one that cannot be met, in MW."""
    if not isinstance(error, InfeasibleLoadError):
        return []
    return [steps / 10 for steps in (error.below, error.above) if steps is not None]
