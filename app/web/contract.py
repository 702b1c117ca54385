"""What the service promises to answer: addresses, parameters, bodies and statuses, as data.

`app.web.openapi` makes the OpenAPI document of it, and the tests hold the handlers to it. Bodies
are the very types that validate and encode them. HEAD is answered wherever GET is, and another
method gets 405; neither is repeated for each address.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from app.calculator import DEFAULT_DIGITS, MAX_RESULT_DIGITS, Result
from app.planning import DetailedAnswer, PlantOutput, ProductionPlanPayload
from app.telemetry.board import Board
from app.web.calculator import Calculation
from app.web.health import Metadata
from app.web.planform import EXAMPLES, EXAMPLES_FOLDER
from app.web.problems import ProblemDetails

if TYPE_CHECKING:
    from collections.abc import Mapping

HTML: Final = "text/html"
TEXT: Final = "text/plain"
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
PROBLEM: Final = "application/problem+json"
EVENTS: Final = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in the path or in the query.

    Attributes:
        schema: JSON schema of its text.
        example: a value that makes sense with those of the others.
    """

    name: str
    place: str
    description: str
    schema: Mapping[str, object]
    example: object
    required: bool = False


@dataclass(frozen=True, slots=True)
class Example:
    """A body that may be sent."""

    name: str
    value: object


@dataclass(frozen=True, slots=True)
class Header:
    """A header field of an answer.

    Attributes:
        schema: JSON schema of its text.
    """

    name: str
    description: str
    schema: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with one status.

    Attributes:
        content: what its body is, by media type: a type, a union of types, or `str` for text.
        headers: fields that a client may need, besides those of every HTTP answer.
    """

    status: HTTPStatus
    description: str
    content: Mapping[str, Any]
    headers: tuple[Header, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """A method of an address.

    Attributes:
        path: template, with the names of parameters in braces.
        group: under which heading it stands.
        body: type of the request's body; None where it takes none.
        forms: media types that the body may have; the first is the usual one.
        answers: all that it gives on its own account, by ascending status.
    """

    method: str
    path: str
    group: str
    summary: str
    description: str
    answers: tuple[Answer, ...]
    parameters: tuple[Parameter, ...] = ()
    body: type | None = None
    forms: tuple[str, ...] = ()
    examples: tuple[Example, ...] = field(default_factory=tuple)


_REQUEST_ID = Header("X-Request-ID", "Names the request in the logs", {"type": "string"})
_HEADER_OF = {
    HTTPStatus.UNAUTHORIZED: Header(
        "WWW-Authenticate", "Has a browser ask for the token", {"type": "string"}
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: Header(
        "Retry-After", "Seconds after which to try again", {"type": "integer", "minimum": 0}
    ),
}


def _problem(status: HTTPStatus, description: str) -> Answer:
    content = {PROBLEM: ProblemDetails, HTML: str}
    own = (_HEADER_OF[status],) if status in _HEADER_OF else ()
    return Answer(status, description, content, (_REQUEST_ID, *own))


def _good(description: str, content: Mapping[str, Any]) -> Answer:
    return Answer(HTTPStatus.OK, description, content, (_REQUEST_ID,))


_MALFORMED = _problem(HTTPStatus.BAD_REQUEST, "The body is not JSON in UTF-8")
_TOO_LARGE = _problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is above MAX_BODY_BYTES")
_MEDIA_TYPE = _problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body is of another media type")
_QUERY = _problem(HTTPStatus.BAD_REQUEST, "The query is not UTF-8")
_CALCULATED = {JSON: Result}
_OPERATORS = (
    "For operators: who asks from the machine itself, or gives OPERATOR_TOKEN as "
    "`Authorization: Bearer` or as the password."
)
_NOT_AN_OPERATOR = (
    _problem(HTTPStatus.UNAUTHORIZED, "Give OPERATOR_TOKEN"),
    _problem(HTTPStatus.FORBIDDEN, "Ask from the machine itself"),
)
_DIGITS = Parameter(
    "digits", "query", "Significant digits of the result",
    {"type": "integer", "minimum": 1, "maximum": MAX_RESULT_DIGITS, "default": DEFAULT_DIGITS},
    DEFAULT_DIGITS,
)  # fmt: skip
_NO_VALUE = "The expression has no value, or a parameter is wrong"


def _number(name: str, example: str) -> Parameter:
    return Parameter(
        name, "query", "A number, such as 12, -0.5 or 1e-3", {"type": "string"}, example,
        required=True,
    )  # fmt: skip


def _payloads() -> tuple[Example, ...]:
    return tuple(
        Example(f"payload{number}", json.loads((EXAMPLES_FOLDER / name).read_text()))
        for number, name in ((number, f"payload{number}.json") for number in EXAMPLES)
    )


OPERATIONS: Final = (
    Operation(
        "GET", "/", "Service", "The first page",
        "For a client that prefers HTML the page with the visit counter, each view of which adds "
        "one; for all others a greeting.",
        (
            _good("The page, or the greeting", {TEXT: str, HTML: str}),
            _problem(HTTPStatus.SERVICE_UNAVAILABLE, "Redis, which counts, is away"),
        ),
    ),
    Operation(
        "GET", "/health", "Service", "Whether the process lives", "Needs nothing else.",
        (_good("It lives", {TEXT: str}),),
    ),
    Operation(
        "GET", "/ready", "Service", "Whether this worker can serve all that it has",
        "Redis must answer, and the worker must not be about to end.",
        (
            _good("It can", {TEXT: str}),
            _problem(HTTPStatus.SERVICE_UNAVAILABLE, "It cannot; says why"),
        ),
    ),
    Operation(
        "GET", "/metadata", "Service", "What runs", "Version, commit and environment.",
        (_good("What runs", {JSON: Metadata}),),
    ),
    Operation(
        "GET", "/metrics", "Operation", "All metrics of all workers", _OPERATORS,
        (_good("The text that Prometheus reads", {TEXT: str}), *_NOT_AN_OPERATOR),
    ),
    Operation(
        "GET", "/status", "Operation", "The status board as a page", _OPERATORS,
        (_good("The page", {HTML: str}), *_NOT_AN_OPERATOR),
    ),
    Operation(
        "GET", "/status/data", "Operation", "The status board", _OPERATORS,
        (_good("What runs, is it well, what changed", {JSON: Board}), *_NOT_AN_OPERATOR),
    ),
    Operation(
        "GET", "/status/events", "Operation", "The status board as it changes",
        f"Server-sent events `board`, about one a second. {_OPERATORS}",
        (
            _good("Events, without end", {EVENTS: str}),
            *_NOT_AN_OPERATOR,
            _problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "Too many streams are open"),
        ),
    ),
    Operation(
        "GET", "/calculator", "Calculator", "Calculate an expression",
        "For a client that prefers HTML, or without an expression, a page with a form.",
        (
            _good("The value, or the page", {JSON: Result, HTML: str}),
            _QUERY,
            _problem(HTTPStatus.UNPROCESSABLE_ENTITY, _NO_VALUE),
        ),
        (
            Parameter("expression", "query", "As in Python", {"type": "string"}, "1/3 + 1/6"),
            _DIGITS,
        ),
    ),
    Operation(
        "POST", "/calculator", "Calculator", "Calculate an expression",
        "Exactly: `result` has at most `digits` significant digits, and `exact` is the value as an "
        "integer, a fraction or a root.",
        (
            _good("The value", {JSON: Result, HTML: str}),
            _MALFORMED,
            _TOO_LARGE,
            _MEDIA_TYPE,
            _problem(HTTPStatus.UNPROCESSABLE_ENTITY, _NO_VALUE),
        ),
        body=Calculation,
        forms=(JSON, FORM),
        examples=(Example("fraction", {"expression": "2/3", "digits": 5}),),
    ),
    Operation(
        "GET", "/calculator/{operation}", "Calculator", "Do one operation on two numbers",
        "A plus sign in a query is written `%2B`.",
        (
            _good("The value", _CALCULATED),
            _QUERY,
            _problem(HTTPStatus.NOT_FOUND, "There is no such operation"),
            _problem(HTTPStatus.UNPROCESSABLE_ENTITY, _NO_VALUE),
        ),
        (
            Parameter(
                "operation", "path", "What to do",
                {"type": "string", "enum": ["add", "subtract", "multiply", "divide"]}, "add",
                required=True,
            ),
            _number("a", "0.1"),
            _number("b", "0.2"),
            _DIGITS,
        ),
    ),
    Operation(
        "GET", "/productionplan", "Production plan", "The page with the form",
        "It holds one of the example payloads, which may be changed.",
        (
            _good("The page", {HTML: str}),
            _QUERY,
            _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "There is no such example"),
        ),
        (
            Parameter(
                "example", "query", "Number of an example",
                {"type": "integer", "enum": list(EXAMPLES)}, EXAMPLES[-1],
            ),
        ),
    ),
    Operation(
        "POST", "/productionplan", "Production plan", "The cheapest plan that meets a load",
        "Plants in merit order, with their power in MW; the powers add up to the load exactly. "
        "The limits of the values are those of the schema; besides, names are unique, `pmin` is "
        "not above `pmax`, the load is a multiple of 0.1 MW, and numbers have at most 18 decimals. "
        "What breaks them, and a load that no plan meets, is answered 422. A browser may send the "
        "form of the page instead of JSON and gets the page.",
        (
            _good("The plan", {JSON: list[PlantOutput] | DetailedAnswer}),
            _MALFORMED,
            _TOO_LARGE,
            _MEDIA_TYPE,
            _problem(
                HTTPStatus.UNPROCESSABLE_ENTITY, "Values are wrong, or no plan meets the load"),
            _problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "Too many large plans are computed"),
        ),
        (
            Parameter(
                "details", "query", "Whether the answer explains itself",
                {"anyOf": [{"type": "boolean"}, {"enum": ["0", "1", ""]}], "default": False},
                "true",
            ),
        ),
        body=ProductionPlanPayload,
        forms=(JSON,),
        examples=_payloads(),
    ),
    Operation(
        "GET", "/docs", "Documents", "This description as a page", "Works without JavaScript.",
        (_good("The page", {HTML: str}),),
    ),
    Operation(
        "GET", "/openapi.json", "Documents", "This description as OpenAPI 3.1", "",
        (_good("The document", {JSON: dict[str, Any]}),),
    ),
    Operation(
        "GET", "/static/{hashed}", "Documents", "What pages are made of",
        "The name carries a hash of the content, so that a copy may be kept for ever.",
        (
            Answer(HTTPStatus.OK, "The file", {"*/*": bytes}),
            _problem(HTTPStatus.BAD_REQUEST, "The name is no path"),
            _problem(HTTPStatus.NOT_FOUND, "There is no such file"),
        ),
        (
            Parameter(
                "hashed", "path", "NAME.HASH.SUFFIX", {"type": "string", "minLength": 1},
                "favicon.0123456789ab.svg", required=True,
            ),
        ),
    ),
)  # fmt: skip
"""In the order in which the documents show them."""
