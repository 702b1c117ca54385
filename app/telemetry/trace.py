"""W3C Trace Context: whose work a request is part of (https://www.w3.org/TR/trace-context/).

A request's `traceparent` is taken over if it is sound, and the request gets a span of its own in
that trace. The log lines of the request carry both, and so must every request that a handler makes
of others (`Trace.headers`). What is not sound is passed over, as the recommendation asks.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from app.telemetry.answered import Answered

_IDS = r"-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"
_VERSION_0 = re.compile(f"00{_IDS}")
_LATER_VERSION = re.compile(rf"[0-9a-f]{{2}}{_IDS}(-.*)?")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_LONGEST_PARENT = 256
_LONGEST_STATE = 512
_MOST_MEMBERS = 32
_KEY = r"(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})"
_MEMBER = re.compile(rf"{_KEY}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{{0,255}}[\x21-\x2b\x2d-\x3c\x3e-\x7e]")
SAMPLED = 1


class Trace(msgspec.Struct, frozen=True, gc=False):
    """A request's place in a trace.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: of this request, 16 digits.
        parent_id: of the span that it is part of; empty where it is the first.
        flags: 1 where who asked records it, too.
        state: what others carry along, as it came.
    """

    trace_id: str
    span_id: str
    parent_id: str = ""
    flags: int = 0
    state: str = ""

    def headers(self) -> dict[str, str]:
        """What a request carries that is made on behalf of this one."""
        fields = {"traceparent": f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"}
        return fields | ({"tracestate": self.state} if self.state else {})


class Tracer(Protocol):
    """What is done with spans."""

    sends: bool
    """Whether spans go anywhere."""

    def begin(self, parent: str, state: str) -> Trace | None:
        """The place of a request; None where it is part of no trace.

        Args:
            parent: the field `traceparent`, or empty.
            state: the field `tracestate`, or empty.
        """

    def end(self, request: Answered) -> None:
        """Take a span that has just ended, of a request that has a place in a trace."""

    def close(self) -> None:
        """Hand on what is left; may take a moment."""


class PassOn:
    """Takes over the traces of others and sends nothing anywhere."""

    sends = False

    def begin(self, parent: str, state: str) -> Trace | None:
        """As `Tracer.begin`."""
        return read(parent, state) if parent else None

    def end(self, request: Answered) -> None:
        """As `Tracer.end`."""

    def close(self) -> None:
        """As `Tracer.close`."""


def read(parent: str, state: str) -> Trace | None:
    """The place of a request that says whose part it is; None where that is not sound."""
    if _VERSION_0.fullmatch(parent) is None and not _is_of_later_version(parent):
        return None
    trace_id, parent_id, flags = parent[3:35], parent[36:52], parent[53:55]
    if trace_id == _NO_TRACE or parent_id == _NO_SPAN:
        return None
    is_sampled = SAMPLED if flags == "01" else int(flags, 16) & SAMPLED
    return Trace(trace_id, new_span_id(), parent_id, is_sampled, _sound(state) if state else "")


def _is_of_later_version(parent: str) -> bool:
    """Whether it begins as what is known, and may go on after that."""
    if len(parent) > _LONGEST_PARENT or parent[:2] in {"00", "ff"}:
        return False
    return _LATER_VERSION.fullmatch(parent) is not None


def new_span_id() -> str:
    """An id that no other span is likely to have; it tells spans apart and guards nothing."""
    return f"{random.getrandbits(64) or 1:016x}"


def new_trace_id() -> str:
    """An id that no other trace is likely to have."""
    return f"{random.getrandbits(128) or 1:032x}"


def _sound(state: str) -> str:
    """The state if it is of the right form, else nothing."""
    if not state or len(state) > _LONGEST_STATE:
        return ""
    members = [member.strip(" \t") for member in state.split(",")]
    members = [member for member in members if member]
    keys = {member.partition("=")[0] for member in members}
    is_sound = (
        len(members) <= _MOST_MEMBERS
        and len(keys) == len(members)
        and all(_MEMBER.fullmatch(member) for member in members)
    )
    return ",".join(members) if is_sound else ""
