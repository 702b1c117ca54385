"""The forms of an answer: the plain one of the contract, and the one that explains itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from app import dispatch
from app.dispatch.problem import STEPS_PER_MW

if TYPE_CHECKING:
    from fractions import Fraction

    from app.dispatch import Explained, Plan
    from app.planning.request import PlanRequest

MONEY_DECIMALS = 6
_LONGEST_EXACT = 200
_KINDS = msgspec.Meta(extra_json_schema={"enum": [kind.value for kind in dispatch.Kind]})
_REASONS = msgspec.Meta(extra_json_schema={"enum": [reason.value for reason in dispatch.Reason]})


class PlantOutput(msgspec.Struct):
    """What one plant delivers.

    Attributes:
        p: MW, in steps of 0.1.
    """

    name: str
    p: float


class PlantDetails(msgspec.Struct):
    """One plant of a detailed answer.

    Attributes:
        rank: its place in the merit order, from 1.
        marginal_cost: euro per MWh.
        p: MW, in steps of 0.1.
        on: whether it runs.
        pmin: least output when on, in the present wind, in MW.
        pmax: greatest output, likewise.
        reason: why it delivers `p`, in a word.
        explanation: the same as a sentence.
    """

    name: str
    type: Annotated[str, _KINDS]
    rank: int
    marginal_cost: float
    pmin: float
    pmax: float
    p: float
    on: bool
    reason: Annotated[str, _REASONS]
    explanation: str


class DetailedAnswer(msgspec.Struct):
    """A plan that explains itself.

    Attributes:
        load: MW.
        cost: euro per hour, rounded to six decimals.
        cost_exact: the same as a fraction; null where it would take more than 200 digits.
        marginal_price: euro per MWh of the marginal plant; null where nothing runs.
        co2: tons per hour.
        plants: in merit order.
    """

    load: float
    cost: float
    cost_exact: str | None
    marginal_price: float | None
    co2: float
    plants: list[PlantDetails]


def plain(plan: Plan) -> bytes:
    """Each plant's output in MW with one decimal, in merit order."""
    return msgspec.json.encode(
        [PlantOutput(output.name, output.steps / STEPS_PER_MW) for output in plan.outputs]
    )


def detailed(request: PlanRequest, plan: Plan, *, co2: bool) -> bytes:
    """The plan with its cost, its marginal price and the reason for each output, as JSON."""
    return msgspec.json.encode(details(request, plan, co2=co2))


def details(request: PlanRequest, plan: Plan, *, co2: bool) -> DetailedAnswer:
    """The plan with its cost, its marginal price and the reason for each output."""
    found = dispatch.explain(request.load, request.fuels, request.plants, plan, co2=co2)
    cost = plan.cost
    exact = str(cost) if cost.denominator.bit_length() < 3 * _LONGEST_EXACT else ""
    return DetailedAnswer(
        load=float(request.load),
        cost=_rounded(cost),
        cost_exact=exact if 0 < len(exact) <= _LONGEST_EXACT else None,
        marginal_price=None if found.marginal_price is None else _rounded(found.marginal_price),
        co2=_rounded(found.co2_tons),
        plants=[_plant(rank, entry) for rank, entry in enumerate(found.plants, 1)],
    )


def _plant(rank: int, entry: Explained) -> PlantDetails:
    return PlantDetails(
        name=entry.plant.name,
        type=str(entry.plant.kind),
        rank=rank,
        marginal_cost=_rounded(entry.marginal_cost),
        pmin=entry.low / STEPS_PER_MW,
        pmax=entry.high / STEPS_PER_MW,
        p=entry.steps / STEPS_PER_MW,
        on=entry.steps > 0,
        reason=str(entry.reason),
        explanation=entry.reason.sentence,
    )


def _rounded(value: Fraction) -> float:
    """The nearest number of six decimals; only what is shown is ever a float."""
    return float(round(value, MONEY_DECIMALS))
