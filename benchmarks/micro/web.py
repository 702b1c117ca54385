"""The application above the engine: from a request to its handler, and a page from its template."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPServerRequest, RequestStartLine

from app.web.home import HomeHandler
from benchmarks.micro.service import application
from benchmarks.micro.work import expect

if TYPE_CHECKING:
    from app.web.handler import AppHandler
    from benchmarks.micro.work import Work

_TARGETS = (
    "/", "/ready", "/metadata", "/calculator", "/calculator/add", "/calculator/divide",
    "/productionplan", "/static/windlass.css", "/no/such/page",
)  # fmt: skip


class _Nowhere(HTTPConnection):
    """A connection on which nothing is sent."""

    def set_close_callback(self, callback: object) -> None:
        """Nobody leaves."""


def _request(path: str) -> HTTPServerRequest:
    headers = HTTPHeaders({"Host": "service.example", "Accept": "text/html"})
    start_line = RequestStartLine("GET", path, "HTTP/1.1")
    return HTTPServerRequest(start_line=start_line, headers=headers, connection=_Nowhere())


def routing() -> Work:
    """Find who answers each address, of those that are plain, matched, and not there."""
    served = application()
    requests = [_request(path) for path in _TARGETS]

    def work() -> list[Any]:
        return [served.find_handler(request) for _ in range(5) for request in requests]

    found = [delegate.handler_class.__name__ for delegate in work()]
    expect(found[: len(requests)][-1] == "NotFoundHandler", f"a wrong handler: {found}")
    expect(found[0] == HomeHandler.__name__, f"a wrong handler: {found}")
    return work


def rendering() -> Work:
    """Render the page with the counter."""
    served = application()
    delegate = served.find_handler(_request("/"))
    handler: AppHandler = HomeHandler(
        cast("Any", served), delegate.request, **delegate.handler_kwargs
    )

    def work() -> bytes:
        return handler.render_string("home.html", counter=1234567)

    expect(b"Counter: 1234567" in work(), "the page lacks its counter")
    return work
