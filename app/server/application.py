"""`tornado.web.Application` with a shorter way from a request to its handler.

Handlers and their behaviour are Tornado's. Shorter are: the request object, which parses a query
only when there is one; routing, which finds a plain path in a table before it tries patterns one
by one; and what is answered without any handler, by a `Prepared` response.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, cast

from tornado import web
from tornado.httputil import (
    HTTPInputError,
    HTTPMessageDelegate,
    HTTPServerRequest,
    RequestStartLine,
    split_host_and_port,
)
from tornado.routing import PathMatches, URLSpec

from app.server.headers import is_host

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from tornado.httputil import HTTPConnection, HTTPHeaders, ResponseStartLine
    from tornado.routing import Rule


class Shortcut(Protocol):
    """What answers a GET or HEAD of one path without a handler."""

    def answer(
        self, connection: HTTPConnection, start_line: RequestStartLine, headers: HTTPHeaders
    ) -> None:
        """Write the whole response."""


class Application(web.Application):
    """A drop-in for `tornado.web.Application`.

    Args:
        handlers: as in Tornado.
        shortcuts: by request target, exactly as a client sends it.
        settings: as in Tornado.
    """

    def __init__(
        self,
        handlers: Sequence[URLSpec],
        *,
        shortcuts: Mapping[str, Shortcut] | None = None,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(list(handlers), **settings)
        self._shortcuts = dict(shortcuts or {})
        self._plain_paths = _plain_paths(self.wildcard_router.rules)

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """Who takes a request, once its head is known."""
        return _Arrival(self, server_conn, request_conn)

    def shortcut(self, start_line: RequestStartLine) -> Shortcut | None:
        """What answers without a handler, if anything does."""
        if start_line.method not in {"GET", "HEAD"}:
            return None
        return self._shortcuts.get(start_line.path)

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:  # noqa: ANN401
        """As in Tornado; a plain path is found at once."""
        # Rules for hosts, which `add_handlers` adds, come before.
        if len(self.default_router.rules) == 1:
            rule = self._plain_paths.get(request.path)
            if rule is not None:
                return self.get_handler_delegate(request, rule.target, rule.target_kwargs)
        return super().find_handler(request, **kwargs)


def _plain_paths(rules: Sequence[Rule]) -> dict[str, Rule]:
    """The rules that match one path each, as far as no rule before them matches it too."""
    found: dict[str, Rule] = {}
    before: list[PathMatches] = []
    for rule in rules:
        matcher = rule.matcher
        if not isinstance(matcher, PathMatches):
            break  # what else it looks at is not known here
        pattern = matcher.regex.pattern.removesuffix("$")
        is_plain = re.escape(pattern) == pattern and isinstance(rule, URLSpec)
        if is_plain and not any(other.regex.match(pattern) for other in before):
            found[pattern] = rule
        before.append(matcher)
    return found


class _Arrival(HTTPMessageDelegate):
    """A request whose taker is not yet known."""

    __slots__ = ("_application", "_connection", "_delegate", "_server_connection")

    def __init__(
        self, application: Application, server_connection: object, connection: HTTPConnection
    ) -> None:
        self._application = application
        self._server_connection = server_connection
        self._connection = connection
        self._delegate: HTTPMessageDelegate | None = None

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        start_line = cast("RequestStartLine", start_line)
        shortcut = self._application.shortcut(start_line)
        if shortcut is not None:
            self._delegate = _Shortcut(shortcut, self._connection, start_line, headers)
            return None
        request = Request(start_line, headers, self._connection, self._server_connection)
        self._delegate = self._application.find_handler(request)
        return self._delegate.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return cast("HTTPMessageDelegate", self._delegate).data_received(chunk)

    def finish(self) -> None:
        cast("HTTPMessageDelegate", self._delegate).finish()

    def on_connection_close(self) -> None:
        if self._delegate is not None:
            self._delegate.on_connection_close()


class _Shortcut(HTTPMessageDelegate):
    """A request that a shortcut answers; a body, which has no meaning here, is passed over."""

    __slots__ = ("_connection", "_headers", "_shortcut", "_start_line")

    def __init__(
        self,
        shortcut: Shortcut,
        connection: HTTPConnection,
        start_line: RequestStartLine,
        headers: HTTPHeaders,
    ) -> None:
        self._shortcut = shortcut
        self._connection = connection
        self._start_line = start_line
        self._headers = headers

    def finish(self) -> None:
        self._shortcut.answer(self._connection, self._start_line, self._headers)


class Request(HTTPServerRequest):
    """Tornado's request, made with less work.

    Raises:
        HTTPInputError: `Host` or the query is not sound.
    """

    def __init__(
        self,
        start_line: RequestStartLine,
        headers: HTTPHeaders,
        connection: HTTPConnection,
        server_connection: object,
    ) -> None:
        if "?" in start_line.path:
            super().__init__(
                start_line=start_line, headers=headers, connection=connection,
                server_connection=server_connection,
            )  # fmt: skip
            return
        self.method, self.uri, self.version = start_line
        self.path, self.query = start_line.path, ""
        self.headers = headers
        self.body = b""
        context = getattr(connection, "context", None)
        self.remote_ip = getattr(context, "remote_ip", None)
        self.protocol = getattr(context, "protocol", "http")
        self.host = _host_of(headers, self.version)
        self.host_name = _host_name(self.host)
        self.files = {}
        self.connection = connection
        self.server_connection = server_connection
        self._start_time = time.time()
        self._finish_time = None
        self.arguments = {}
        self.query_arguments = {}
        self.body_arguments = {}


def _host_of(headers: HTTPHeaders, version: str) -> str:
    hosts = headers.get_list("Host")
    if not hosts and version == "HTTP/1.0":
        return "127.0.0.1"
    if len(hosts) != 1:
        raise HTTPInputError(
            "Multiple host headers not allowed" if hosts else "Missing Host header"
        )
    if not is_host(hosts[0]):
        raise HTTPInputError(f"Invalid Host header: {hosts[0]!r}")
    return hosts[0]


@lru_cache(maxsize=1024)
def _host_name(host: str) -> str:
    return split_host_and_port(host.lower())[0]
