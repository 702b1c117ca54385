"""Header fields on their way in and out: what llhttp has read, and the head of a response.

Guarantees: what goes out holds no line break but the engine's own, so that no value can add a
field or end the head.
"""

from __future__ import annotations

import http
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from tornado.httputil import HTTPHeaders

if TYPE_CHECKING:
    from collections.abc import Iterable

_HOST = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+;=\[\]:]|%[0-9A-Fa-f]{2})*")
_BREAKS = re.compile(r"[\r\n\0]")
_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in http.HTTPStatus
}
_PHRASES = {status.value: status.phrase for status in http.HTTPStatus}


class RequestHeaders(HTTPHeaders):
    """Header fields that llhttp has read and found sound.

    `HTTPHeaders.add` checks each field once more by regular expressions, which takes longer than
    all the rest of reading a request; this fills the mapping directly. It is the only place that
    knows how `HTTPHeaders` keeps its fields.
    """

    def __init__(self, fields: Iterable[tuple[bytes, bytes]] = ()) -> None:
        values: dict[str, list[str]] = {}
        whole: dict[str, str] = {}
        for raw, value in fields:
            name = _name(raw)
            text = value.decode("latin-1").rstrip(" \t")  # llhttp leaves what follows a value
            if name in values:
                values[name].append(text)
                whole.pop(name, None)  # joined when it is asked for
            else:
                values[name] = [text]
                whole[name] = text
        self._as_list = values
        self._combined_cache = whole


def field_of(headers: HTTPHeaders, name: str) -> str:
    """The one value of a field, empty where it is not there or not alone.

    Args:
        headers: of a request.
        name: in the form in which Tornado keeps it, such as `X-Request-Id`.
    """
    values = headers._as_list.get(name)  # noqa: SLF001 - `get` takes many times as long
    return values[0] if values is not None and len(values) == 1 else ""


def fields_of(headers: HTTPHeaders, name: str) -> str:
    """The values of a field, separated by commas; empty where it is not there; as `field_of`."""
    values = headers._as_list.get(name)  # noqa: SLF001 - as above
    return "" if values is None else ",".join(values)


@lru_cache(maxsize=1024)
def _name(raw: bytes) -> str:
    """A field's name in the form in which Tornado keeps it, such as `Content-Type`."""
    return "-".join([word.capitalize() for word in raw.decode("latin-1").split("-")])


@lru_cache(maxsize=1024)
def is_host(value: str) -> bool:
    """Whether a `Host` field names one host (RFC 9112, section 3.2); it may be empty."""
    return _HOST.fullmatch(value) is not None


def head_of(code: int, reason: str, headers: HTTPHeaders) -> bytes:
    """The head of a response, the empty line at its end included.

    Raises:
        ValueError: a name or value, or the reason, holds a line break or NUL.
    """
    if _PHRASES.get(code) == reason:
        lines = [_STATUS_LINES[code]]
    else:
        lines = [f"HTTP/1.1 {code} {reason}\r\n"]
    lines += [f"{_text(name)}: {_text(value)}\r\n" for name, value in headers.get_all()]
    head = "".join(lines)
    # Each line brings one break of its own; one more than that came from a value.
    if head.count("\n") != len(lines) or head.count("\r") != len(lines) or "\0" in head:
        bad = next(line for line in lines if _BREAKS.search(line[:-2]))
        raise ValueError(f"Illegal characters (CR, LF or NUL) in header: {bad[:-2]!r}")
    return f"{head}\r\n".encode("latin-1")


def _text(value: str | bytes) -> str:
    """A field's part as text: Tornado's own handlers let bytes slip through."""
    return value.decode() if isinstance(value, bytes) else value
