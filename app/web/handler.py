"""What every handler shares: services, request id, negotiation, errors, the access line."""

from __future__ import annotations

import random
import re
import time
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec
from tornado import locale
from tornado.escape import xhtml_escape
from tornado.httputil import HTTPHeaders
from tornado.web import HTTPError, RequestHandler

from app import log
from app.errors import AppError
from app.server import date_of, field_of
from app.web import problems
from app.web.negotiation import prefers_html
from app.web.recording import place_in_trace

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from tornado.locale import Locale

    from app.config import Settings
    from app.identity import Identity
    from app.telemetry.reporter import Reporter
    from app.telemetry.station import Station
    from app.telemetry.trace import Trace
    from app.web.assets import Assets

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
LONGEST_ACCEPT = 1024
_LONGEST_KNOWN = 200
JSON = "application/json"
PLAIN_TEXT = "text/plain; charset=utf-8"
COMMON_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""What every response carries unless its handler says otherwise: it is not cached nor sniffed."""
_JSON = msgspec.json.Encoder()


class Store(Protocol):
    """What handlers need of Redis; each call raises `StoreUnavailableError` in bounded time."""

    async def count_visit(self) -> int:
        """Add one visit and return how many there are."""

    async def visits(self) -> int:
        """Return how many visits there are."""

    async def ping(self) -> None:
        """Return once the store has answered."""


class PlanDesk(Protocol):
    """What computes production plans without holding the event loop.

    Attributes:
        quick_body_bytes: the longest body that `answer_at_once` looks at.
    """

    quick_body_bytes: int

    def answer_at_once(self, body: bytes, *, details: bool) -> bytes | None:
        """Answer a payload in JSON, or None where that takes too long for the event loop."""

    async def answer(self, body: bytes, *, details: bool) -> bytes:
        """Answer a payload in JSON; raises an `AppError` for the client."""


@dataclass(frozen=True, slots=True)
class Services:
    """What handlers work with, made once for each worker.

    Attributes:
        demonstrates: whether the page, the calculator and the plan are served, not another
            service's routes.
    """

    settings: Settings
    identity: Identity
    store: Store
    plans: PlanDesk
    assets: Assets
    is_draining: Callable[[], bool]
    station: Station
    reporter: Reporter
    demonstrates: bool


class AppHandler(RequestHandler):
    """Base of all handlers.

    `HEAD` is answered wherever `GET` is (RFC 9110, section 9.1), and a method that a handler lacks
    is refused with 405 and `Allow`.
    """

    services: Services
    request_id: str
    first_part_s: float | None = None
    """Of a stream: seconds from the request's head to the first part of its answer."""
    _is_noted = False

    def __init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init_subclass__(**kwargs)
        missing = RequestHandler._unimplemented_method  # noqa: SLF001 - how Tornado marks it
        methods = [
            name
            for name in RequestHandler.SUPPORTED_METHODS
            if name != "HEAD" and getattr(cls, name.lower()) is not missing
        ]
        if "GET" in methods:
            methods.insert(methods.index("GET") + 1, "HEAD")
        cls.SUPPORTED_METHODS = tuple(methods)

    def initialize(self, services: Services) -> None:
        """Take the services; called by Tornado for each request."""
        self.services = services

    def clear(self) -> None:
        """Begin the response anew, with the headers that each has."""
        self.request_id = request_id_of(self.request.headers)
        self._headers = HTTPHeaders()
        self._headers["Content-Type"] = "text/html; charset=UTF-8"
        self._headers["Date"] = date_of(int(time.time()))
        for name, value in COMMON_HEADERS.items():
            self._headers[name] = value
        self._headers["X-Request-ID"] = self.request_id
        self._write_buffer = []
        self._status_code = 200
        self._reason = "OK"

    @cached_property
    def trace(self) -> Trace | None:
        """The request's place in a trace; see `app.telemetry.trace`."""
        return place_in_trace(self.services.station.tracer, self.request.headers)

    def head(self, *args: str, **kwargs: str) -> Awaitable[None] | None:
        """Answer as GET would; Tornado leaves the body out."""
        return self.get(*args, **kwargs)

    def compute_etag(self) -> None:
        """No entity tags: nothing dynamic here is worth a hash for each response."""

    def check_etag_header(self) -> bool:
        """Whether the client has this entity already; without a tag there is nothing to compare."""
        return "Etag" in self._headers and super().check_etag_header()

    def prefers_html(self, alternative: str = "application/json") -> bool:
        """Whether the client would rather have HTML than `alternative`."""
        self._headers["Vary"] = "Accept"
        accept = self.request.headers.get("Accept", "")
        # Negotiation remembers headers that it has seen; nobody may fill its memory.
        return len(accept) <= LONGEST_ACCEPT and prefers_html(accept, alternative)

    def finish_as(self, media_type: str, body: bytes) -> None:
        """Answer with a body that is encoded already."""
        self._headers["Content-Type"] = media_type
        self.finish(body)

    def finish_json(self, value: object, media_type: str = JSON) -> None:
        """Answer with `value` as JSON."""
        self.finish_as(media_type, _JSON.encode(value))

    def finish_text(self, text: str) -> None:
        """Answer with plain text."""
        self.finish_as(PLAIN_TEXT, text.encode())

    def flush(self, include_footers: bool = False) -> Future[None]:  # noqa: FBT001, FBT002 - Tornado's
        """Send what was written; note the request before the last of its answer leaves.

        So a worker that is killed has counted whatever a client has an answer to.
        """
        if include_footers and not self._is_noted:
            self._is_noted = True
            self.application.log_request(self)
        return super().flush(include_footers)

    def _log(self) -> None:
        """Do nothing where Tornado notes a request: `flush` has."""

    def get_user_locale(self) -> Locale | None:
        """The only one there is; where translations were loaded, the browser chooses."""
        return locale.get("en_US") if len([*locale.get_supported_locales()]) == 1 else None

    def get_template_namespace(self) -> dict[str, Any]:
        """Add what the templates use on every page."""
        namespace = super().get_template_namespace()
        return namespace | {
            "asset": self.services.assets.address,
            "services": self.services,
            "xhtml_escape": _escape,
        }

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:  # noqa: ANN401
        """Answer an error; an `AppError` brings its own status."""
        problem = problems.describe(_cause(kwargs), status_code)
        if problem.status == 405 and not problem.detail:
            problem = replace(problem, detail=f"This takes {', '.join(self.SUPPORTED_METHODS)}")
        super().send_error(problem.status, problem=problem, **kwargs)

    def write_error(self, status_code: int, **kwargs: Any) -> None:  # noqa: ANN401
        """Write problem details as JSON, or as a page for who prefers HTML."""
        problem: problems.Problem = kwargs["problem"]
        for name, value in problem.headers.items():
            self.set_header(name, value)
        if status_code == 405:
            self.set_header("Allow", ", ".join(self.SUPPORTED_METHODS))
        if self.prefers_html():
            self.render("error.html", problem=problem, request_id=self.request_id)
        else:
            self.finish_json(
                problem.as_json(instance=self.request.path, request_id=self.request_id),
                problems.MEDIA_TYPE,
            )

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Log what went wrong: an expected error as one line, any other with its traceback."""
        place = {} if self.trace is None else log.place_of(self.trace)
        lines = log.get(request_id=self.request_id, method=self.request.method, **place)
        if isinstance(value, AppError):
            lines.info("refused", path=self.request.path, reason=str(value))
        elif not isinstance(value, HTTPError):
            lines.error("handler failed", path=self.request.path, exc_info=(typ, value, tb))


class NotFoundHandler(AppHandler):
    """Answers 404 for what no route names, whatever the method."""

    def prepare(self) -> None:
        """Refuse before the method is looked at."""
        raise HTTPError(404, "There is nothing at this address")

    def get(self) -> None:
        """Never reached: `prepare` has refused."""


NotFoundHandler.SUPPORTED_METHODS = RequestHandler.SUPPORTED_METHODS


def request_id_of(headers: HTTPHeaders) -> str:
    """The id that a request brings, if it is one; else a new one."""
    given = field_of(headers, "X-Request-Id")
    # An id tells requests apart; it guards nothing. Each worker's numbers are seeded on its own.
    return given if _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"


def _escape(value: str | bytes) -> str:
    """As Tornado's; most of what a page escapes is the same each time."""
    return _escape_known(value) if len(value) <= _LONGEST_KNOWN else xhtml_escape(value)


_escape_known = lru_cache(maxsize=1024)(xhtml_escape)


def _cause(kwargs: dict[str, Any]) -> BaseException | None:
    return cast("BaseException | None", kwargs.get("exc_info", (None, None))[1])
