"""A request that was answered: what its log line, its count and its span are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from app.telemetry.trace import Trace


class Answered(msgspec.Struct, gc=False):
    """A request that was answered just now.

    Attributes:
        request_id: as in the answer's header.
        method: as the client sent it.
        path: that was asked, without the query.
        route: the template of its route.
        status: of the answer.
        duration_s: from the request's head to its answer, seconds.
        remote: address of the client.
        trace: its place in a trace; None where it has none.
    """

    request_id: str
    method: str
    path: str
    route: str
    status: int
    duration_s: float
    remote: str
    trace: Trace | None
