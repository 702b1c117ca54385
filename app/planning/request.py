"""The payload of a production plan, and the problem that it states."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from app import dispatch, payload
from app.dispatch.validation import (
    MAX_LOAD_MW,
    MAX_NAME_LENGTH,
    MAX_PLANTS,
    MAX_PMAX_MW,
    MAX_PRICE,
)
from app.errors import InvalidInputError

if TYPE_CHECKING:
    from app.errors import Fault


# A call of the enumeration takes several times as long.
_KINDS = {kind.value: kind for kind in dispatch.Kind}


# What the limits are is for people who read the schema. They are not tested by it: the listing of
# `app.dispatch.validation`, from where they come, says in one answer all that is wrong.
def _told(description: str, **limits: object) -> msgspec.Meta:
    return msgspec.Meta(description=description, extra_json_schema=limits)


_Price = Annotated[
    payload.Number, _told("Euro per MWh of fuel", minimum=-MAX_PRICE, maximum=MAX_PRICE)
]
_Power = Annotated[payload.Number, _told("MW", minimum=0, maximum=MAX_PMAX_MW)]


class FuelsPayload(msgspec.Struct):
    """Prices, and how much wind there is."""

    gas: _Price = msgspec.field(name="gas(euro/MWh)")
    kerosine: _Price = msgspec.field(name="kerosine(euro/MWh)")
    co2: Annotated[
        payload.Number, _told("Euro per ton of allowances", minimum=0, maximum=MAX_PRICE)
    ] = msgspec.field(name="co2(euro/ton)")
    wind: Annotated[payload.Number, _told("Wind in per cent", minimum=0, maximum=100)] = (
        msgspec.field(name="wind(%)")
    )


class PlantPayload(msgspec.Struct):
    """One power plant; pmin must not be greater than pmax."""

    name: Annotated[str, _told("Unique", minLength=1, maxLength=MAX_NAME_LENGTH)]
    type: Literal["gasfired", "turbojet", "windturbine"]
    efficiency: Annotated[
        payload.Number, _told("MWh of power per MWh of fuel", exclusiveMinimum=0, maximum=1)
    ]
    pmin: _Power
    pmax: _Power


class ProductionPlanPayload(msgspec.Struct):
    """The whole request."""

    load: Annotated[payload.Number, _told("MW, in steps of 0.1", minimum=0, maximum=MAX_LOAD_MW)]
    fuels: FuelsPayload
    powerplants: Annotated[
        list[PlantPayload], _told("Their order breaks ties", maxItems=MAX_PLANTS)
    ]


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What is asked for, in the solver's terms."""

    load: Decimal
    fuels: dispatch.Fuels
    plants: list[dispatch.Plant]

    @classmethod
    def of(cls, request: ProductionPlanPayload) -> PlanRequest:
        """The request that a payload states."""
        prices = request.fuels
        fuels = dispatch.Fuels(
            *(Decimal(n) for n in (prices.gas, prices.kerosine, prices.co2, prices.wind))
        )
        plants = [
            dispatch.Plant(
                p.name, _KINDS[p.type], Decimal(p.efficiency), Decimal(p.pmin), Decimal(p.pmax)
            )
            for p in request.powerplants
        ]  # fmt: skip
        return cls(Decimal(request.load), fuels, plants)

    def faults(self) -> list[Fault]:
        """What is wrong with its values."""
        return dispatch.faults_of(self.load, self.fuels, self.plants)


# Values that no check objects to, put in the place of those of a wrong type, so that one answer
# names the faults of both kinds. A name must differ from all others: it is never a placeholder.
_PLACEHOLDERS: dict[str, object] = {
    "load": 0, "gas(euro/MWh)": 0, "kerosine(euro/MWh)": 0, "co2(euro/ton)": 0, "wind(%)": 0,
    "type": "gasfired", "efficiency": 1, "pmin": 0, "pmax": 1_000_000,
}  # fmt: skip


def decode(body: bytes) -> PlanRequest:
    """Read a request from JSON.

    Raises:
        MalformedBodyError: the body is not JSON.
        InvalidInputError: values are missing or wrong; lists every fault, of types and of values.
    """
    decoded = payload.decode_or_explain(body, ProductionPlanPayload, _PLACEHOLDERS)
    if not isinstance(decoded, payload.Explanation):
        return PlanRequest.of(decoded)
    of_type = {fault.where for fault in decoded.faults}
    of_value = PlanRequest.of(decoded.mended).faults() if decoded.mended else []
    raise InvalidInputError(
        payload.SUMMARY,
        [*decoded.faults, *(fault for fault in of_value if fault.where not in of_type)],
    )
