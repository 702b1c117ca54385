"""Content negotiation (RFC 9110): which form a client wants, and which form it sends."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from app.errors import MediaTypeError

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

_WEIGHT = re.compile(r"[01]?(\.[0-9]*)?")


@lru_cache(maxsize=1024)
def prefers_html(accept: str, alternative: str) -> bool:
    """Whether a client would rather have text/html than `alternative`.

    HTML must be asked for (section 12.5.1): a client that would take either, such as one that
    sends no `Accept` or only ``*/*``, gets the alternative.

    Args:
        accept: the value of the request's `Accept` header, possibly empty.
        alternative: a media type, such as text/plain.
    """
    ranges = [_media_range(text) for text in accept.split(",") if text.strip()]
    return _rank("text/html", ranges) > _rank(alternative, ranges)


def _media_range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            value = value.strip()
            if not any(map(str.isdigit, value)) or not _WEIGHT.fullmatch(value):
                return name, 0.0
            return name, min(float(value), 1.0)
    return name, 1.0


def _rank(media_type: str, ranges: list[tuple[str, float]]) -> tuple[float, int]:
    """Quality of a media type and how closely it is named: the closest range decides."""
    patterns = ("*/*", media_type.partition("/")[0] + "/*", media_type)
    matches = [(patterns.index(name), q) for name, q in ranges if name in patterns]
    if not matches:
        return 0.0, 0
    closeness, quality = max(matches)
    return (quality, closeness) if quality else (0.0, 0)


def media_type(request: HTTPServerRequest, *allowed: str) -> str:
    """The media type of a request's body, one of `allowed`; the first where none is given.

    Raises:
        MediaTypeError: it is another.
    """
    given = _given(request, allowed[0])
    if given in allowed:
        return given
    raise MediaTypeError(
        f"This resource does not read {given!r}; send a body with the header "
        + " or ".join(f"Content-Type: {name}" for name in allowed)
    )


def has_form(request: HTTPServerRequest) -> bool:
    """Whether a request's body is a form, as browsers send it."""
    return _given(request, "") == FORM


def _given(request: HTTPServerRequest, default: str) -> str:
    return request.headers.get("Content-Type", default).partition(";")[0].strip().lower()
