"""The form of a production plan: what was typed, and the payload that it says.

A field's name is the JSON pointer of its value in the payload, so that a fault finds its field by
itself. What is typed is kept as text: what is no number comes back as it was, with what is wrong.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from app.errors import Fault, InvalidInputError
from app.payload import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXAMPLES_FOLDER = Path(__file__).resolve().parent / "examples"
EXAMPLES = (1, 2, 3)
DEFAULT_EXAMPLE = 3
MOST_PLANTS = 200
"""A larger problem is sent as JSON: a page of thousands of fields serves nobody."""

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_FUELS = (
    ("gas(euro/MWh)", "Gas (€/MWh)"),
    ("kerosine(euro/MWh)", "Kerosine (€/MWh)"),
    ("co2(euro/ton)", "CO₂ (€/t)"),
    ("wind(%)", "Wind (%)"),
)
KINDS = (
    ("gasfired", "gas-fired"),
    ("turbojet", "turbojet"),
    ("windturbine", "wind turbine"),
)
NAMES_OF_KINDS = dict(KINDS)
_OF_A_PLANT = ("name", "type", "efficiency", "pmin", "pmax")
_NEW_PLANT = {"name": "", "type": "gasfired", "efficiency": "0.5", "pmin": "0", "pmax": "100"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One field: its pointer, what it is called, what was typed."""

    pointer: str
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Draft:
    """All that is typed into the form.

    Attributes:
        load: MW.
        fuels: text by the member of the payload.
        plants: for each plant, text by the member of the payload.
    """

    load: str
    fuels: dict[str, str]
    plants: tuple[dict[str, str], ...]

    def fuel_entries(self) -> list[Entry]:
        """The fields of the fuels."""
        return [Entry(f"/fuels/{escape(name)}", label, self.fuels[name]) for name, label in _FUELS]

    def with_plant(self) -> Draft:
        """With one plant more, if there is room for it."""
        if len(self.plants) >= MOST_PLANTS:
            return self
        return replace(self, plants=(*self.plants, dict(_NEW_PLANT)))

    def without_plant(self, index: int) -> Draft:
        """Without one of the plants, if it is there."""
        kept = tuple(plant for at, plant in enumerate(self.plants) if at != index)
        return replace(self, plants=kept)

    def payload(self) -> bytes:
        """The request that it states, in JSON; a field that was left empty is missing."""
        members = {
            "load": _value(self.load),
            "fuels": {name: _value(text) for name, text in self.fuels.items()},
            "powerplants": [
                {
                    name: text if name in {"name", "type"} else _value(text)
                    for name, text in plant.items()
                }
                for plant in self.plants
            ],
        }
        return msgspec.json.encode(_without_empty(members))


def example(number: int) -> Draft:
    """One of the payloads of the plan's contract; raises `KeyError` where there is none."""
    if number not in EXAMPLES:
        raise KeyError(number)
    return _example(number)


@cache
def _example(number: int) -> Draft:
    text = (EXAMPLES_FOLDER / f"payload{number}.json").read_text()
    payload = json.loads(text, parse_int=str, parse_float=str)
    return Draft(payload["load"], payload["fuels"], tuple(payload["powerplants"]))


def read(argument: Callable[[str], str], names: Sequence[str]) -> Draft:
    """What was typed into a form that has come back.

    Args:
        argument: gives the text of a field, empty where there is none.
        names: of all fields that came.

    Raises:
        InvalidInputError: there are more plants than the form takes.
    """
    there = set(names)
    count = 0
    while f"/powerplants/{count}/name" in there:
        count += 1
    if count > MOST_PLANTS:
        told = f"must hold at most {MOST_PLANTS} plants here; send more as JSON"
        raise InvalidInputError("The form is too large", [Fault("/powerplants", told)])
    return Draft(
        argument("/load"),
        {name: argument(f"/fuels/{escape(name)}") for name, _ in _FUELS},
        tuple(
            {name: argument(f"/powerplants/{at}/{name}") for name in _OF_A_PLANT}
            for at in range(count)
        ),
    )


def _value(text: str) -> object:
    """A number exactly as it was typed; None for nothing; text that is no number stays text."""
    text = text.strip()
    return msgspec.Raw(text.encode()) if _NUMBER.fullmatch(text) else text or None


def _without_empty(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_empty(item) for name, item in value.items() if item is not None}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value
