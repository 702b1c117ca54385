"""What is noted of each answered request: a line in the log, a count, a span.

One place for all ways in which a request can be answered: by a handler, by a shortcut, by the
engine alone. The address that was asked goes to the log; metrics name the route's template.
"""

from __future__ import annotations

import re
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from app.server import field_of, fields_of
from app.telemetry.answered import Answered
from app.telemetry.totals import REFUSED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tornado.httputil import HTTPHeaders
    from tornado.routing import URLSpec
    from tornado.web import RequestHandler

    from app.telemetry.meter import Meter
    from app.telemetry.trace import Trace, Tracer

UNMATCHED = "(unmatched)"
_SLOW_S = 1.0
_FAILED = int(HTTPStatus.INTERNAL_SERVER_ERROR)
"""As a number: to look up a member of an enumeration takes longer than the rest of a decision."""
_TOKEN = re.compile(
    r"\\(?P<escaped>.)|\[\^?\]?(?:\\.|[^\]\\])*\]|(?P<opens>\()(?:\?P<(?P<name>\w+)>)?"
    r"|(?P<closes>\))[?*+]?|.",
    re.DOTALL,
)
"""A part of a pattern: what may hold parentheses that open no group is one."""


class Recording:
    """Notes requests.

    Args:
        write: writes the access line; None: there are none.
        meter: counts.
        tracer: takes spans.
        routes: all that the application has, for the templates of handlers.
        every: whether each request has its line, and not only an unusual one.
    """

    def __init__(
        self,
        write: Callable[[Answered], None] | None,
        meter: Meter,
        tracer: Tracer,
        routes: Sequence[URLSpec] = (),
        *,
        every: bool = True,
    ) -> None:
        self._write = write
        self._every = every
        self._requests = meter.of_requests
        self._counts = meter.counts
        self._tracer = tracer
        self._tells_each = tracer.sends or (write is not None and every)
        self.is_idle = write is None and not tracer.sends and not meter.counts
        """Whether nothing is noted at all."""
        self._routes: dict[type, list[tuple[re.Pattern[str], str]]] = {}
        for route in routes:
            known = self._routes.setdefault(route.handler_class, [])
            known.append((route.regex, template_of(route.regex.pattern)))

    def begin(self, headers: HTTPHeaders) -> Trace | None:
        """The place in a trace of a request with these header fields; None where it has none."""
        return place_in_trace(self._tracer, headers)

    def tells(self, status: int, duration_s: float) -> bool:
        """Whether anybody is told of such a request, or it is counted at most."""
        if self._tells_each:
            return True
        return self._write is not None and (status >= _FAILED or duration_s >= _SLOW_S)

    def end(self, request: Answered) -> None:
        """Note a request that was answered just now, and of which somebody is told."""
        write = self._write
        unusual = request.status >= _FAILED or request.duration_s >= _SLOW_S
        if write is not None and (self._every or unusual):
            write(request)
        if self._counts:
            self.count(request.method, request.route, request.status, request.duration_s)
        if request.trace is not None:
            self._tracer.end(request)

    def count(self, method: str, route: str, status: int, duration_s: float) -> None:
        """Count a request that was answered just now, and do no more."""
        self._requests(method, route, status)(duration_s)

    def handled(self, handler: RequestHandler) -> None:
        """Note the request of a handler that has answered: Tornado's `log_function`."""
        if self.is_idle:
            return
        request = handler.request
        method, route, status = request.method or "", self.route_of(handler), handler.get_status()
        first_part_s: float | None = getattr(handler, "first_part_s", None)
        # The clock may have been set back in between.
        duration_s = max(0.0, request.request_time() if first_part_s is None else first_part_s)
        if not self.tells(status, duration_s):
            self.count(method, route, status, duration_s)
            return
        self.end(
            Answered(
                getattr(handler, "request_id", ""),
                method,
                request.path,
                route,
                status,
                duration_s,
                request.remote_ip or "",
                getattr(handler, "trace", None),
            )
        )

    def refused(self, status: int) -> None:
        """Count what the engine has refused; it is no request, so there is nothing else to say."""
        if self._counts:
            self.count("", REFUSED, status, 0.0)

    def route_of(self, handler: RequestHandler) -> str:
        """The template of the route by which a request came to a handler."""
        known = self._routes.get(type(handler))
        if known is None:
            return UNMATCHED
        if len(known) == 1:
            return known[0][1]
        path = handler.request.path
        return next((name for pattern, name in known if pattern.match(path)), UNMATCHED)


def place_in_trace(tracer: Tracer, headers: HTTPHeaders) -> Trace | None:
    """The place in a trace of a request with these header fields; None where it has none."""
    parent = field_of(headers, "Traceparent")
    return tracer.begin(parent, fields_of(headers, "Tracestate") if parent else "")


@lru_cache(maxsize=1024)
def template_of(pattern: str) -> str:
    """A route's pattern as people write it: what varies stands in braces."""
    made: list[str] = []
    depth = number = 0
    for token in _TOKEN.finditer(pattern.removesuffix("$")):
        if token["closes"]:
            depth -= 1
        elif depth == 0 and token["opens"]:
            number += 1
            made.append(f"{{{token['name'] or number}}}")
        elif depth == 0:
            made.append(token["escaped"] or token[0])
        depth += bool(token["opens"])
    return "".join(made)
