"""The OpenAPI 3.1 document, made of `app.web.contract` and the types that it names.

Schemas come from msgspec, which validates by the same types; what a class's docstring says of its
attributes becomes the description of the properties.
"""

from __future__ import annotations

import re
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from app import __version__
from app.identity import DESCRIPTION
from app.payload import Number
from app.web.contract import FORM, OPERATIONS, Answer, Header, Operation, Parameter

if TYPE_CHECKING:
    from collections.abc import Iterator

_REFERENCE = "#/components/schemas/{name}"
_PREFACE = f"""{DESCRIPTION}

GET resources answer HEAD too; another method gets 405 with `Allow`. Errors are problem details \
(RFC 9457), or a page for a client that prefers HTML. Whatever the address, Nginx may answer 400 \
to what is no HTTP, 414 and 431 to what is too long, 421 to a host that is not served, 429 to who \
asks too often, and 502 to 504 when no worker can be asked."""
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`OPERATOR_TOKEN`"},
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "`OPERATOR_TOKEN` as the password, and any name",
    },
}
_TOKEN_OR_NONE: list[dict[str, list[str]]] = [{"bearer": []}, {"basic": []}, {}]
"""None is for who asks from the machine itself."""
_ATTRIBUTE = re.compile(r"^(\w+): (.*(?:\n    .*)*)", re.MULTILINE)

Document = dict[str, Any]


@cache
def document() -> Document:
    """The whole document; the same each time, and not to be changed."""
    kinds = list(dict.fromkeys(map(_of_list, _kinds())))
    found, components = msgspec.json.schema_components(
        kinds, schema_hook=_schema_of_own, ref_template=_REFERENCE
    )
    schemas = dict(zip(kinds, found, strict=True))
    paths: Document = {}
    for operation in OPERATIONS:
        at = paths.setdefault(operation.path, {})
        at[operation.method.lower()] = _operation(operation, schemas)
    groups = dict.fromkeys(operation.group for operation in OPERATIONS)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Windlass",
            "version": __version__,
            "summary": DESCRIPTION,
            "description": _PREFACE,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": group} for group in groups],
        "paths": paths,
        "components": {
            "schemas": {name: _described(of) for name, of in components.items()},
            "headers": {header.name: _header(header) for header in _headers()},
            "securitySchemes": _SCHEMES,
        },
    }


@cache
def encoded() -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(document())


def anchor(operation: Operation) -> str:
    """What names an operation in addresses: `post-productionplan`."""
    words = re.findall(r"\w+", operation.path)
    return "-".join([operation.method.lower(), *(words or ["home"])])


def _kinds() -> Iterator[Any]:
    """Every type that is sent or answered."""
    for operation in OPERATIONS:
        if operation.body is not None:
            yield operation.body
        for answer in operation.answers:
            yield from answer.content.values()


def _headers() -> Iterator[Header]:
    """Every header field that is described."""
    for operation in OPERATIONS:
        for answer in operation.answers:
            yield from answer.headers


def _of_list(kind: Any) -> Any:  # noqa: ANN401 - a type of any form
    # The schema of raw bytes would be that of text in base64.
    return Any if kind is bytes else kind


def _schema_of_own(kind: type) -> Document:
    if kind is Number:
        return {"type": "number"}
    raise NotImplementedError(kind)


def _operation(operation: Operation, schemas: dict[Any, Document]) -> Document:
    made: Document = {
        "operationId": anchor(operation),
        "tags": [operation.group],
        "summary": operation.summary,
        "description": operation.description,
    }
    if operation.parameters:
        made["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body is not None:
        made["requestBody"] = _body(operation, schemas[operation.body])
    if any(answer.status is HTTPStatus.UNAUTHORIZED for answer in operation.answers):
        made["security"] = _TOKEN_OR_NONE
    made["responses"] = {
        str(answer.status.value): _answer(answer, schemas) for answer in operation.answers
    }
    return made


def _parameter(parameter: Parameter) -> Document:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "required": parameter.required,
        "schema": dict(parameter.schema),
        "example": parameter.example,
    }


def _body(operation: Operation, schema: Document) -> Document:
    examples = {example.name: {"value": example.value} for example in operation.examples}
    return {
        "required": True,
        "content": {
            name: {"schema": schema} if name == FORM else {"schema": schema, "examples": examples}
            for name in operation.forms
        },
    }


def _answer(answer: Answer, schemas: dict[Any, Document]) -> Document:
    return {
        "description": answer.description,
        "headers": {
            header.name: {"$ref": f"#/components/headers/{header.name}"}
            for header in answer.headers
        },
        "content": {
            name: {"schema": schemas[_of_list(kind)]} for name, kind in answer.content.items()
        },
    }


def _header(header: Header) -> Document:
    return {"description": header.description, "schema": dict(header.schema)}


def _described(schema: Document) -> Document:
    """A component whose properties have the descriptions of its class's docstring."""
    text, _, attributes = schema.get("description", "").partition("Attributes:\n")
    if not attributes:
        return schema
    lines = re.sub(r"^ {4,8}(?=\S)", "", attributes, flags=re.MULTILINE)
    told = {name: " ".join(words.split()) for name, words in _ATTRIBUTE.findall(lines)}
    properties = {
        name: of if "$ref" in of or name not in told else {**of, "description": told[name]}
        for name, of in schema["properties"].items()
    }
    return {**schema, "description": text.strip(), "properties": properties}
