"""The reader under hostile bytes: one outcome, however they are split."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from app.server.reading import End, Event, Head, Reader, Refusal, Upgrade

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_HEAD_BYTES = 1 << 16
MAX_FIELDS = 20

Outcome = list[tuple[object, ...]]


class FoundError(Exception):
    """Something that must not be."""


def outcome(data: bytes, cuts: Iterable[int], max_head_bytes: int = MAX_HEAD_BYTES) -> Outcome:
    """What the reader makes of bytes that come in pieces.

    Args:
        data: of one connection.
        cuts: where the pieces end, from 0 to the length.
        max_head_bytes: as of the reader.

    Returns:
        A tuple for each head, body and end, then at most one refusal or upgrade.

    Raises:
        FoundError: the events make no sense.
    """
    reader = Reader(max_head_bytes, MAX_FIELDS)
    events: list[Event] = []
    for start, end in pairwise(cuts):
        if start == end:
            continue
        events += reader.feed(data[start:end])
        last = events[-1] if events else None
        if isinstance(last, Upgrade):
            last.received += data[end:]
        if isinstance(last, (Refusal, Upgrade)):
            break
    reader.close()
    return _told(events)


def check(data: bytes, cuts: list[int], max_head_bytes: int = MAX_HEAD_BYTES) -> Outcome:
    """Read bytes whole and in pieces; return the outcome.

    Raises:
        FoundError: the outcomes differ, or make no sense.
    """
    whole = outcome(data, (0, len(data)), max_head_bytes)
    pieces = outcome(data, cuts, max_head_bytes)
    if whole != pieces:
        raise FoundError(f"cut at {cuts}: {pieces}, whole: {whole}")
    return whole


def _told(events: list[Event]) -> Outcome:
    told: Outcome = []
    head: Head | None = None
    body: list[bytes] = []
    for number, event in enumerate(events):
        if isinstance(event, Head):
            _expect(head is None, "a head within a request")
            head, body = event, []
            told.append(
                ("head", *event.start_line, tuple(event.headers.get_all()), event.keeps_alive)
            )
        elif isinstance(event, bytes):
            _expect(head is not None and head.has_body and event != b"", "a body without a head")
            body.append(event)
        elif isinstance(event, End):
            _expect(head is not None, "an end without a head")
            told.append(("end", b"".join(body)))
            _expect(head is None or head.is_chunked or len(b"".join(body)) == head.length, "length")
            head = None
        else:
            _expect(number == len(events) - 1, "something after the last")
            told.append(_last(event, head, body))
            return told
    if head is not None:
        told.append(("so far", b"".join(body)))
    return told


def _last(event: Refusal | Upgrade, head: Head | None, body: list[bytes]) -> tuple[object, ...]:
    if isinstance(event, Upgrade):
        _expect(head is None, "an upgrade within a request")
        return "upgrade", event.received
    _expect(event.status in {400, 414, 431}, f"status {event.status}")
    return "refusal", event.status, b"".join(body)


def _expect(holds: bool, what: str) -> None:  # noqa: FBT001 - a condition
    if not holds:
        raise FoundError(what)
