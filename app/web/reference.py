"""The description of the API as a page reads it: schemas as rows, examples as text.

Everything comes from the OpenAPI document, so the page cannot say anything else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

from app.web import openapi
from app.web.contract import EVENTS, OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIMITS = (
    ("minimum", "from {}"), ("exclusiveMinimum", "above {}"), ("maximum", "to {}"),
    ("minLength", "at least {} characters"), ("maxLength", "at most {} characters"),
    ("maxItems", "at most {}"), ("default", "otherwise {}"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """A parameter, or a member of an object.

    Attributes:
        kind: its type in words.
        links: names of the schemas that the type mentions.
    """

    name: str
    kind: str
    links: tuple[str, ...]
    is_required: bool
    description: str
    place: str = ""
    example: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: status, when, and of which media types."""

    status: str
    description: str
    contents: list[Row]


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation.

    Attributes:
        examples: names and texts of bodies.
        asking: the command that asks for it, up to the address.
        target: what it asks for: path and query.
        is_endless: whether its answer is a stream, whose end nobody can wait for.
    """

    anchor: str
    method: str
    path: str
    summary: str
    description: str
    parameters: list[Row]
    body: list[Row]
    examples: list[tuple[str, str]]
    replies: list[Reply]
    asking: str
    target: str
    is_endless: bool

    def curl(self, origin: str) -> str:
        """The command that asks a service for it, whose origin is such as http://host:8000."""
        address = f"{origin}{self.target}"
        return f"{self.asking} '{address}'" if "?" in address else f"{self.asking} {address}"


@dataclass(frozen=True, slots=True)
class Reference:
    """The whole page.

    Attributes:
        groups: each heading and its operations.
        schemas: each name, description and members.
    """

    groups: list[tuple[str, list[Entry]]]
    schemas: list[tuple[str, str, list[Row]]]


@cache
def reference() -> Reference:
    """What the page shows; the same each time."""
    document = openapi.document()
    by_group = groupby(OPERATIONS, key=lambda operation: operation.group)
    return Reference(
        [
            (group, [_entry(document["paths"][of.path][of.method.lower()], of.method, of.path)
                     for of in operations])
            for group, operations in by_group
        ],
        [
            (name, schema.get("description", ""), list(_members(schema)))
            for name, schema in document["components"]["schemas"].items()
        ],
    )  # fmt: skip


def _entry(described: dict[str, Any], method: str, path: str) -> Entry:
    parameters = [_parameter(parameter) for parameter in described.get("parameters", [])]
    contents = described.get("requestBody", {}).get("content", {})
    examples = [
        (name, json.dumps(example["value"], indent=2))
        for content in contents.values()
        for name, example in content.get("examples", {}).items()
    ]
    return Entry(
        described["operationId"], method, path, described["summary"], described["description"],
        parameters, list(_contents(contents)), examples,
        [
            Reply(status, reply["description"], list(_contents(reply["content"])))
            for status, reply in described["responses"].items()
        ],
        *_command(path, parameters, examples),
        is_endless=any(EVENTS in of["content"] for of in described["responses"].values()),
    )  # fmt: skip


def _command(path: str, parameters: list[Row], examples: list[tuple[str, str]]) -> tuple[str, str]:
    """What stands before the origin of a command of curl, and after it."""
    for parameter in parameters:
        path = path.replace(f"{{{parameter.name}}}", parameter.example)
    query = "&".join(f"{of.name}={of.example}" for of in parameters if of.place == "query")
    command = ["curl"]
    if examples:
        command.append(f"--json @{examples[-1][0]}.json")
    elif query:
        command.append("--get")
    if query and not examples:
        command += [f"--data-urlencode '{pair}'" for pair in query.split("&")]
        query = ""
    return " ".join(command), f"{path}?{query}" if query else path


def _parameter(parameter: dict[str, Any]) -> Row:
    kind, links = _kind(parameter["schema"])
    return Row(
        parameter["name"], kind, links, parameter["required"], parameter["description"],
        parameter["in"], str(parameter["example"]),
    )  # fmt: skip


def _contents(contents: dict[str, Any]) -> Iterator[Row]:
    for name, content in contents.items():
        kind, links = _kind(content["schema"])
        yield Row(name, kind, links, is_required=True, description="")


def _members(schema: dict[str, Any]) -> Iterator[Row]:
    required = schema.get("required", [])
    for name, of in schema.get("properties", {}).items():
        kind, links = _kind(of)
        yield Row(name, kind, links, name in required, of.get("description", ""))


def _kind(schema: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """A schema's type in words, and the schemas that it mentions."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return name, (name,)
    if "anyOf" in schema:
        words, links = zip(*map(_kind, schema["anyOf"]), strict=True)
        return " or ".join(words), tuple(link for found in links for link in found)
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"]), ()
    if schema.get("type") == "array":
        word, links = _kind(schema["items"])
        return ", ".join([f"list of {word}", *_limits(schema)]), links
    return ", ".join([str(schema.get("type", "anything")), *_limits(schema)]), ()


def _limits(schema: dict[str, Any]) -> list[str]:
    return [
        words.format(f"{schema[name]:,}" if type(schema[name]) is int else schema[name])
        for name, words in _LIMITS
        if name in schema
    ]
