"""The form of a production plan: what is typed becomes the payload; faults find their field."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from app.errors import InvalidInputError
from app.planning import decode
from app.web import planform
from app.web.planform import MOST_PLANTS, Draft

if TYPE_CHECKING:
    from pathlib import Path


def form_of(draft: Draft) -> dict[str, str]:
    """The fields as a browser sends them."""
    fields = {"/load": draft.load}
    fields |= {entry.pointer: entry.text for entry in draft.fuel_entries()}
    for at, plant in enumerate(draft.plants):
        fields |= {f"/powerplants/{at}/{name}": text for name, text in plant.items()}
    return fields


def read(fields: dict[str, str]) -> Draft:
    return planform.read(lambda name: fields.get(name, ""), list(fields))


@pytest.mark.parametrize("number", planform.EXAMPLES)
def test_example_goes_through_the_form_unchanged(powerplant: Path, number: int) -> None:
    draft = read(form_of(planform.example(number)))
    payload = json.loads((powerplant / f"payload{number}.json").read_text())
    assert json.loads(draft.payload()) == payload


def test_there_are_no_other_examples() -> None:
    with pytest.raises(KeyError):
        planform.example(4)


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("480", b'"load":480'), (" 1e2 ", b'"load":1e2'), ("0.10", b'"load":0.10'),
        ("-5", b'"load":-5'), ("", b'{"fuels"'), ("1,5", b'"load":"1,5"'), ("NaN", b'"load":"NaN"'),
        ("0x10", b'"load":"0x10"'), ("+1", b'"load":"+1"'), ('1}"', b'"load":"1}\\""'),
    ],
)  # fmt: skip
def test_numbers_are_sent_as_typed_and_the_rest_as_text(typed: str, sent: bytes) -> None:
    fields = form_of(planform.example(1)) | {"/load": typed}
    assert sent in read(fields).payload()


def test_names_of_fields_are_the_pointers_of_faults() -> None:
    fields = dict.fromkeys(form_of(planform.example(1)), "?")
    with pytest.raises(InvalidInputError) as caught:
        decode(read(fields).payload())
    pointers = {fault.where for fault in caught.value.faults}
    # All names are the same, and fit.
    assert pointers == {name for name in fields if not name.endswith("/name")} | {
        name for name in fields if name.endswith("/name") and not name.startswith("/powerplants/0/")
    } or pointers == {name for name in fields if not name.endswith("/name")}


def test_plants_are_added_and_removed() -> None:
    draft = planform.example(1)
    more = draft.with_plant()
    assert len(more.plants) == len(draft.plants) + 1
    assert more.without_plant(len(draft.plants)) == draft
    assert draft.without_plant(0).plants == draft.plants[1:]
    assert draft.without_plant(99) == draft


def test_form_has_an_end() -> None:
    draft = planform.example(1)
    while len(draft.plants) < MOST_PLANTS:
        draft = draft.with_plant()
    assert draft.with_plant() == draft
    fields = form_of(draft)
    assert read(fields) == draft
    with pytest.raises(InvalidInputError, match="too large"):
        read(fields | {f"/powerplants/{MOST_PLANTS}/name": "one more"})
