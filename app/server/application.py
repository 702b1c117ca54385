"""`tornado.web.Application` with a shorter way from a request to its handler.

Handlers and their behaviour are Tornado's. Shorter are: the request object, which parses a query
only when there is one; routing, which finds a plain path in a table before it tries patterns one
by one; starting a handler that takes its body whole; and what a `Shortcut` answers without any.
"""

from __future__ import annotations

import asyncio
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
from tornado.web import _has_stream_request_body

from app.server.headers import is_host

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from tornado.httputil import HTTPConnection, HTTPHeaders, ResponseStartLine
    from tornado.routing import Rule


class Shortcut(Protocol):
    """What answers requests for one path without a handler."""

    def takes(self, start_line: RequestStartLine, headers: HTTPHeaders) -> bool:
        """Whether it may answer this request; its body, held in memory, must be of bounded size."""

    def answer(
        self,
        connection: HTTPConnection,
        start_line: RequestStartLine,
        headers: HTTPHeaders,
        body: bytes,
    ) -> bool:
        """Write the whole response, or leave the request to the handler and return False."""


class Application(web.Application):
    """A drop-in for `tornado.web.Application`.

    Args:
        handlers: as in Tornado.
        shortcuts: by request target, exactly as a client sends it.
        refused: told of the status of each answer that the engine gives without a handler.
        settings: as in Tornado.
    """

    def __init__(
        self,
        handlers: Sequence[URLSpec],
        *,
        shortcuts: Mapping[str, Shortcut] | None = None,
        refused: Callable[[int], None] | None = None,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        self.refused = refused
        super().__init__(list(handlers), **settings)
        self._shortcuts = dict(shortcuts or {})
        self._plain_paths = _plain_paths(self.wildcard_router.rules)
        # Without one of these Tornado looks at the disk before each request.
        caches = ("compiled_template_cache", "static_hash_cache")
        self._caches = all(self.settings.get(name, True) for name in caches)

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """Who takes a request, once its head is known."""
        return _Arrival(self, server_conn, request_conn)

    def shortcut(self, start_line: RequestStartLine, headers: HTTPHeaders) -> Shortcut | None:
        """What may answer without a handler, if anything does."""
        shortcut = self._shortcuts.get(start_line.path)
        return shortcut if shortcut is not None and shortcut.takes(start_line, headers) else None

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:  # noqa: ANN401
        """As in Tornado; a plain path is found at once."""
        # Rules for hosts, which `add_handlers` adds, come before.
        if len(self.default_router.rules) == 1:
            rule = self._plain_paths.get(request.path)
            if rule is not None:
                if self._caches and not _has_stream_request_body(rule.target):
                    return _Call(self, request, rule.target, rule.target_kwargs)
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
    """A request on its way to who answers it."""

    __slots__ = (
        "_application",
        "_body",
        "_connection",
        "_delegate",
        "_headers",
        "_server_connection",
        "_shortcut",
        "_start_line",
    )

    def __init__(
        self, application: Application, server_connection: object, connection: HTTPConnection
    ) -> None:
        self._application = application
        self._server_connection = server_connection
        self._connection = connection
        self._delegate: HTTPMessageDelegate | None = None
        self._shortcut: Shortcut | None = None

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        start_line = cast("RequestStartLine", start_line)
        self._shortcut = self._application.shortcut(start_line, headers)
        if self._shortcut is None:
            return self._handler(start_line, headers).headers_received(start_line, headers)
        self._start_line, self._headers, self._body = start_line, headers, b""
        return None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        if self._delegate is not None:
            return self._delegate.data_received(chunk)
        self._body += chunk
        return None

    def finish(self) -> None:
        if self._shortcut is not None:
            start_line, headers, body = self._start_line, self._headers, self._body
            if self._shortcut.answer(self._connection, start_line, headers, body):
                return
            # Nobody waits for room here: the body has come, and is of bounded size.
            delegate = self._handler(start_line, headers)
            delegate.headers_received(start_line, headers)
            delegate.data_received(body)
        cast("HTTPMessageDelegate", self._delegate).finish()

    def on_connection_close(self) -> None:
        if self._delegate is not None:
            self._delegate.on_connection_close()

    def _handler(self, start_line: RequestStartLine, headers: HTTPHeaders) -> HTTPMessageDelegate:
        request = Request(start_line, headers, self._connection, self._server_connection)
        self._delegate = self._application.find_handler(request)
        return self._delegate


class _Call(HTTPMessageDelegate):
    """A request on its way to a handler that takes its body whole.

    Attributes are those of Tornado's own delegate.
    """

    __slots__ = ("_body", "application", "handler_class", "handler_kwargs", "request")

    def __init__(
        self,
        application: Application,
        request: HTTPServerRequest,
        handler_class: type[web.RequestHandler],
        handler_kwargs: dict[str, Any],
    ) -> None:
        self.application = application
        self.request = request
        self.handler_class = handler_class
        self.handler_kwargs = handler_kwargs
        self._body = bytearray()

    def data_received(self, chunk: bytes) -> None:
        self._body += chunk

    def finish(self) -> None:
        application, request = self.application, self.request
        request.body = bytes(self._body)
        handler = self.handler_class(application, request, **self.handler_kwargs)
        transforms = [transform(request) for transform in application.transforms]
        running = asyncio.get_running_loop().create_task(handler._execute(transforms))  # noqa: SLF001
        running.add_done_callback(_raise_again)

    def on_connection_close(self) -> None:
        self._body.clear()


def _raise_again(done: asyncio.Task[None]) -> None:
    """Give what a handler let slip to the loop's handler of exceptions, as Tornado does."""
    if not done.cancelled():
        done.result()


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
