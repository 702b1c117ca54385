"""`POST /productionplan`: the cheapest plan that meets a load."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import msgspec

from app import dispatch
from app.errors import DispatchError
from app.web import payload
from app.web.handler import AppHandler
from app.web.problems import InvalidInputError

if TYPE_CHECKING:
    from app.errors import Fault


class FuelsPayload(msgspec.Struct):
    """Prices, and how much wind there is."""

    gas: payload.Number = msgspec.field(name="gas(euro/MWh)")
    kerosine: payload.Number = msgspec.field(name="kerosine(euro/MWh)")
    co2: payload.Number = msgspec.field(name="co2(euro/ton)")
    wind: payload.Number = msgspec.field(name="wind(%)")


class PlantPayload(msgspec.Struct):
    """One power plant; powers in MW."""

    name: str
    type: Literal["gasfired", "turbojet", "windturbine"]
    efficiency: payload.Number
    pmin: payload.Number
    pmax: payload.Number


class ProductionPlanPayload(msgspec.Struct):
    """The whole request; the load in MW."""

    load: payload.Number
    fuels: FuelsPayload
    powerplants: list[PlantPayload]


class ProductionPlanHandler(AppHandler):
    """`POST /productionplan`."""

    def post(self) -> None:
        """Answer with each plant's output, in merit order."""
        payload.media_type(self.request, payload.JSON)
        problem = Problem.of(_decode(self.request.body))
        plan = problem.solve(co2=self.services.settings.plan_co2)
        self.finish_json([{"name": out.name, "p": out.steps / 10} for out in plan.outputs])


class UnprovenPlanError(DispatchError):
    """The independent check refused a plan that the solver made: a fault of this software."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A request as the solver takes it."""

    load: Decimal
    fuels: dispatch.Fuels
    plants: list[dispatch.Plant]

    @classmethod
    def of(cls, request: ProductionPlanPayload) -> Problem:
        """The problem that a payload states."""
        prices = request.fuels
        fuels = dispatch.Fuels(
            *(Decimal(n) for n in (prices.gas, prices.kerosine, prices.co2, prices.wind))
        )
        plants = [
            dispatch.Plant(
                p.name, dispatch.Kind(p.type), Decimal(p.efficiency), Decimal(p.pmin),
                Decimal(p.pmax),
            )
            for p in request.powerplants
        ]  # fmt: skip
        return cls(Decimal(request.load), fuels, plants)

    def faults(self) -> list[Fault]:
        """What is wrong with its values."""
        return dispatch.faults_of(self.load, self.fuels, self.plants)

    def solve(self, *, co2: bool) -> dispatch.Plan:
        """The cheapest plan, proven by the independent check before anybody sees it."""
        plan = dispatch.plan(self.load, self.fuels, self.plants, co2=co2)
        wrong = dispatch.verify(self.load, self.fuels, self.plants, plan, co2=co2)
        if wrong:
            raise UnprovenPlanError("; ".join(wrong))
        return plan


# Values that no check objects to, put in the place of those of a wrong type, so that one answer
# names the faults of both kinds. A name must differ from all others: it is never a placeholder.
_PLACEHOLDERS: dict[str, object] = {
    "load": 0, "gas(euro/MWh)": 0, "kerosine(euro/MWh)": 0, "co2(euro/ton)": 0, "wind(%)": 0,
    "type": "gasfired", "efficiency": 1, "pmin": 0, "pmax": 1_000_000,
}  # fmt: skip


def _decode(body: bytes) -> ProductionPlanPayload:
    decoded = payload.decode_or_explain(body, ProductionPlanPayload, _PLACEHOLDERS)
    if not isinstance(decoded, payload.Explanation):
        return decoded
    of_type = {fault.where for fault in decoded.faults}
    of_value = Problem.of(decoded.mended).faults() if decoded.mended else []
    raise InvalidInputError(
        payload.SUMMARY,
        [*decoded.faults, *(fault for fault in of_value if fault.where not in of_type)],
    )
