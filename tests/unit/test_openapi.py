"""The OpenAPI document: it agrees with the routes, and with the types that validate."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from app import payload
from app.errors import InvalidInputError
from app.planning import decode
from app.web import openapi
from app.web.contract import JSON, OPERATIONS, PROBLEM, Operation
from app.web.documents import linked, prose
from app.web.planform import EXAMPLES, EXAMPLES_FOLDER
from app.web.recording import template_of
from app.web.reference import Row, reference
from benchmarks.micro.service import application

if TYPE_CHECKING:
    from pathlib import Path


def named(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def rules_of(served: Any) -> list[Any]:  # noqa: ANN401 - untyped there
    """The routes of an application."""
    return list(served.wildcard_router.rules)


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = openapi.document()["components"]["schemas"][name]
    return found


def test_routes_and_document_have_the_same_addresses_and_methods() -> None:
    routed = {
        f"{method} {template_of(rule.matcher.regex.pattern)}"
        for rule in rules_of(application())
        for method in rule.target.SUPPORTED_METHODS
        if method != "HEAD"
    }
    described = {
        f"{method.upper()} {path}"
        for path, at in openapi.document()["paths"].items()
        for method in at
    }
    assert described == routed
    assert described == {named(operation) for operation in OPERATIONS}


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
def test_operation_is_described_whole(operation: Operation) -> None:
    made = openapi.document()["paths"][operation.path][operation.method.lower()]
    assert made["operationId"] == openapi.anchor(operation)
    assert made["summary"]
    in_path = {of["name"] for of in made.get("parameters", []) if of["in"] == "path"}
    assert in_path == set(re.findall(r"\{(\w+)\}", operation.path))
    statuses = [answer.status for answer in operation.answers]
    assert statuses == sorted(set(statuses))
    assert statuses[0] == HTTPStatus.OK
    for answer in operation.answers[1:]:
        assert PROBLEM in answer.content


def test_operators_addresses_and_no_others_take_a_token() -> None:
    document = openapi.document()
    schemes = document["components"]["securitySchemes"]
    assert {name: scheme["scheme"] for name, scheme in schemes.items()} == {
        "bearer": "bearer", "basic": "basic",
    }  # fmt: skip
    for operation in OPERATIONS:
        security = document["paths"][operation.path][operation.method.lower()].get("security")
        is_theirs = operation.group == "Operation"
        assert security == ([{"bearer": []}, {"basic": []}, {}] if is_theirs else None)


def test_header_fields_stand_where_a_client_needs_them() -> None:
    document = openapi.document()
    board = document["paths"]["/status/events"]["get"]["responses"]
    assert {status: set(answer["headers"]) for status, answer in board.items()} == {
        "200": {"X-Request-ID"}, "401": {"X-Request-ID", "WWW-Authenticate"},
        "403": {"X-Request-ID"}, "503": {"X-Request-ID", "Retry-After"},
    }  # fmt: skip
    referred = set(re.findall(r'"#/components/headers/([\w-]+)"', openapi.encoded().decode()))
    assert referred == set(document["components"]["headers"])


def test_names_of_operations_are_unique() -> None:
    names = [openapi.anchor(operation) for operation in OPERATIONS]
    assert len(set(names)) == len(names)


def test_references_lead_to_schemas() -> None:
    text = openapi.encoded().decode()
    names = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert names <= set(openapi.document()["components"]["schemas"])
    assert {"ProductionPlanPayload", "PlantDetails", "ProblemDetails", "Board"} <= names
    assert json.loads(text)["openapi"].startswith("3.1.")


def test_examples_are_those_of_the_contract_and_are_accepted(powerplant: Path) -> None:
    body = openapi.document()["paths"]["/productionplan"]["post"]["requestBody"]
    examples = body["content"][JSON]["examples"]
    assert len(examples) == len(EXAMPLES)
    for number in EXAMPLES:
        name = f"payload{number}"
        ours = (EXAMPLES_FOLDER / f"{name}.json").read_bytes()
        assert ours == (powerplant / f"{name}.json").read_bytes()
        assert examples[name]["value"] == json.loads(ours)
        assert decode(ours).load == json.loads(ours)["load"]


@pytest.mark.parametrize(
    ("name", "member", "pointer"),
    [
        ("PlantPayload", "efficiency", "/powerplants/0/efficiency"),
        ("PlantPayload", "pmax", "/powerplants/0/pmax"),
        ("FuelsPayload", "wind(%)", "/fuels/wind(%)"),
        ("FuelsPayload", "gas(euro/MWh)", "/fuels/gas(euro~1MWh)"),
        ("ProductionPlanPayload", "load", "/load"),
    ],
)
def test_limits_of_the_schema_are_those_that_are_checked(
    powerplant: Path, name: str, member: str, pointer: str
) -> None:
    limits = schema(name)["properties"][member]
    highest = Decimal(limits["maximum"])
    lowest = Decimal(limits.get("minimum", limits.get("exclusiveMinimum")))
    inside = [highest, lowest if "minimum" in limits else lowest + Decimal("0.1")]
    outside = [highest + 1, lowest - 1 if "minimum" in limits else lowest]
    for values, is_right in ((inside, True), (outside, False)):
        for value in values:
            request = json.loads((powerplant / "payload3.json").read_text())
            *path, last = [part.replace("~1", "/") for part in pointer.split("/")[1:]]
            place = request
            for part in path:
                place = place[int(part)] if isinstance(place, list) else place[part]
            place[last] = float(value)
            if last == "pmax":
                place["pmin"] = 0
            faults = {fault.where for fault in decode(json.dumps(request).encode()).faults()}
            assert (pointer not in faults) == is_right, value


def test_what_is_said_of_types_does_not_change_what_is_told_of_faults() -> None:
    body = b'{"load": "1", "fuels": {"wind(%)": true}, "powerplants": [{"name": 3, "pmin": "x"}]}'
    with pytest.raises(InvalidInputError) as caught:
        decode(body)
    told = {fault.where: fault.message for fault in caught.value.faults}
    assert told["/load"] == "must be a number, not a string"
    assert told["/fuels/wind(%)"] == "must be a number, not a boolean"
    assert told["/powerplants/0/name"] == "is wrong: Expected str, got int"
    assert told["/powerplants/0/pmin"] == "must be a number, not a string"
    assert told["/powerplants/0/type"] == "is missing"


def test_docstrings_describe_properties() -> None:
    details = schema("PlantDetails")
    assert details["description"] == "One plant of a detailed answer."
    assert details["properties"]["rank"]["description"].startswith("its place in the merit order")
    assert "Attributes" not in openapi.encoded().decode()


def test_number_is_a_number_and_an_unknown_type_is_refused() -> None:
    assert schema("PlantPayload")["properties"]["pmax"]["type"] == "number"
    assert issubclass(payload.Number, Decimal)
    with pytest.raises(TypeError, match="complex"):
        msgspec.json.schema(complex)


def test_page_has_all_that_the_document_has() -> None:
    shown = reference()
    entries = [entry for _, group in shown.groups for entry in group]
    assert [(entry.method, entry.path) for entry in entries] == [
        (operation.method, operation.path) for operation in OPERATIONS
    ]
    assert {name for name, _, _ in shown.schemas} == set(
        openapi.document()["components"]["schemas"]
    )
    plan = next(entry for entry in entries if entry.anchor == "post-productionplan")
    address = "https://plans.example:8443/productionplan?details=true"
    assert plan.curl("https://plans.example:8443") == f"curl --json @payload3.json '{address}'"
    assert [entry.path for entry in entries if entry.is_endless] == ["/status/events"]


def test_types_lead_to_their_schemas() -> None:
    row = Row("200", "list of A or AB", ("A", "AB"), is_required=True, description="")
    assert linked(row) == 'list of <a href="#A">A</a> or <a href="#AB">AB</a>'


def test_prose_is_escaped_but_for_code() -> None:
    assert prose("`a<b` & c") == "<code>a&lt;b</code> &amp; c"
