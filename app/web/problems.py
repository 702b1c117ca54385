"""Errors as problem details (RFC 9457): the one place where an error becomes an HTTP status."""

from __future__ import annotations

import http
from dataclasses import dataclass, field
from functools import singledispatch

import msgspec
from tornado.web import HTTPError

from app.calculator import MAX_EXPRESSION_LENGTH
from app.errors import (
    AppError,
    BusyError,
    CalculationError,
    FaultyInputError,
    InfeasibleLoadError,
    MalformedBodyError,
    MediaTypeError,
    StoreError,
    StoreUnavailableError,
)
from app.payload import MAX_FAULTS

MEDIA_TYPE = "application/problem+json"
_RETRY = {"Retry-After": "1"}
_TYPE = "urn:problem-type:windlass:"


class NotReadyError(AppError):
    """This worker cannot serve now; the message says why."""


class ProblemFault(msgspec.Struct, omit_defaults=True):
    """One thing wrong with a request.

    Attributes:
        pointer: JSON pointer (RFC 6901) into the request.
        detail: what is wrong and what is allowed.
        position: 0-based index of the character at fault.
    """

    pointer: str
    detail: str
    position: int | msgspec.UnsetType = msgspec.UNSET


class ProblemDetails(msgspec.Struct, omit_defaults=True):
    """An error (RFC 9457): what `Problem.as_json` makes, for those who read it.

    Attributes:
        type: names the kind of error; about:blank where the status says all.
        title: what kind of error.
        detail: what is wrong with this request.
        instance: path of the request; not known to errors of Nginx.
        request_id: which the logs share.
        errors: each fault of the request.
        errors_omitted: how many more there are.
        expression: the one that has no value.
        nearest_below: greatest load below that can be met, MW.
        nearest_above: least load above that can be met, MW.
    """

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    instance: str | msgspec.UnsetType = msgspec.UNSET
    errors: list[ProblemFault] | msgspec.UnsetType = msgspec.UNSET
    errors_omitted: int | msgspec.UnsetType = msgspec.UNSET
    expression: str | msgspec.UnsetType = msgspec.UNSET
    nearest_below: float | msgspec.UnsetType | None = msgspec.UNSET
    nearest_above: float | msgspec.UnsetType | None = msgspec.UNSET


class NotAllowedError(AppError):
    """Only operators may see this; `challenges`: whether a token may be given."""

    def __init__(self, reason: str, *, challenges: bool = False) -> None:
        self.challenges = challenges
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Problem:
    """What a client is told of an error.

    Attributes:
        status: HTTP status code.
        title: what kind of error, the same for each of its kind.
        detail: what is wrong with this request and what to do next.
        type: URI that names the kind; "about:blank" where the status says all there is to say.
        extensions: further members of the JSON object.
        headers: header fields that the response carries.
    """

    status: int
    title: str
    detail: str = ""
    type: str = "about:blank"
    extensions: dict[str, object] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def as_json(self, *, instance: str, request_id: str) -> dict[str, object]:
        """The members of the JSON object, in the order of the RFC."""
        members: dict[str, object] = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "request_id": request_id,
        }
        return members | self.extensions


@singledispatch
def describe(_error: object, status: int) -> Problem:
    """The problem that an error is.

    Args:
        _error: what was raised, or None. A kind of its own is registered with
            `@describe.register`.
        status: serves where the error brings no status of its own.
    """
    return Problem(status, _phrase(status))


@describe.register
def _http(error: HTTPError, _status: int) -> Problem:
    message = (error.log_message or "") % error.args
    return Problem(error.status_code, _phrase(error.status_code), message)


@describe.register
def _calculation(error: CalculationError, _status: int) -> Problem:
    fault = {"pointer": "/expression", "position": error.position, "detail": error.reason}
    members: dict[str, object] = {"errors": [fault]}
    if len(error.expression) <= MAX_EXPRESSION_LENGTH:  # what is longer need not come back
        members["expression"] = error.expression
    return Problem(422, "The expression has no value", str(error), _TYPE + "calculation", members)


@describe.register
def _infeasible(error: InfeasibleLoadError, _status: int) -> Problem:
    below, above = (None if step is None else step / 10 for step in (error.below, error.above))
    return Problem(
        422,
        "No plan meets the load",
        str(error),
        _TYPE + "infeasible-load",
        {"nearest_below": below, "nearest_above": above},
    )


@describe.register
def _faulty(error: FaultyInputError, _status: int) -> Problem:
    shown = error.faults[:MAX_FAULTS]
    members: dict[str, object] = {
        "errors": [{"pointer": fault.where, "detail": fault.message} for fault in shown]
    }
    if len(shown) < len(error.faults):
        members["errors_omitted"] = len(error.faults) - len(shown)
    return Problem(422, "The request is not valid", error.summary, _TYPE + "invalid-input", members)


@describe.register
def _malformed(error: MalformedBodyError, _status: int) -> Problem:
    return Problem(400, _phrase(400), str(error))


@describe.register
def _media_type(error: MediaTypeError, _status: int) -> Problem:
    return Problem(415, _phrase(415), str(error))


@describe.register
def _busy(error: BusyError, _status: int) -> Problem:
    return Problem(503, "Too busy", str(error), _TYPE + "busy", headers=_RETRY)


@describe.register
def _not_ready(error: NotReadyError, _status: int) -> Problem:
    return Problem(503, "This worker is not ready", str(error), headers=_RETRY)


@describe.register
def _not_allowed(error: NotAllowedError, _status: int) -> Problem:
    if not error.challenges:
        return Problem(403, "Only for operators", str(error), _TYPE + "operators-only")
    challenge = {"WWW-Authenticate": 'Basic realm="operators", charset="UTF-8"'}
    return Problem(
        401, "Only for operators", str(error), _TYPE + "operators-only", headers=challenge
    )


@describe.register
def _store(error: StoreError, _status: int) -> Problem:
    away = isinstance(error, StoreUnavailableError)
    return Problem(
        503,
        "The visit counter is not available",
        f"Redis, which keeps it, {'does not answer' if away else 'refuses the command'}; "
        "everything that needs no counter works",
        _TYPE + "store-unavailable",
        headers=_RETRY,
    )


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Unknown error"
