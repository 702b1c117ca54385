"""Content negotiation (RFC 9110, section 12.5.1) between HTML and one other form."""

from __future__ import annotations

import re
from functools import lru_cache

_WEIGHT = re.compile(r"[01]?(\.[0-9]*)?")


@lru_cache(maxsize=1024)
def prefers_html(accept: str, alternative: str) -> bool:
    """Whether a client would rather have text/html than `alternative`.

    HTML must be asked for: a client that would take either, such as one that sends no `Accept` or
    only ``*/*``, gets the alternative.

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
