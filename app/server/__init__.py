"""The HTTP engine under `tornado.web.Application`.

A server here takes a Tornado application and listening sockets, and can drain: it stops accepting,
finishes what is under way, tells kept-alive clients to go elsewhere, and says whether all was done.

The way of a request::

    engine          accepts connections; the public `HTTPServer`
      connection    one client: requests in, one at a time, responses out in order
        reading     bytes -> requests, by llhttp
        exchange    one request and its response: Tornado's `HTTPConnection`
      headers       header fields in and out
      context       who the client is
      handover      a socket on its way to stock Tornado, for upgrades
    draining        what the end of every server has in common
    stock           Tornado's own server, drainable
    application     Tornado's `Application` with a shorter way to a handler
    prepared        a response put together beforehand
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from app.server.application import Application
from app.server.engine import HTTPServer
from app.server.headers import field_of, fields_of
from app.server.prepared import Prepared, date_of
from app.server.stock import StockServer

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

    from tornado import web

__all__ = [
    "Application",
    "HTTPServer",
    "Prepared",
    "Server",
    "StockServer",
    "date_of",
    "field_of",
    "fields_of",
    "make_server",
]


class Server(Protocol):
    """What serves an application, whichever engine it is."""

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Begin to accept on listening sockets; needs a running event loop."""

    @property
    def open_connections(self) -> int:
        """How many connections are open."""

    async def drain(self, timeout_s: float) -> int:
        """Stop, letting requests finish; returns how many connections were cut after the time."""


_HEADER_TIMEOUT_S = 30.0
_BODY_TIMEOUT_S = 300.0
_IDLE_TIMEOUT_S = 75.0
_IDLE_TIMEOUT_BEHIND_PROXY_S = 3600.0
"""Nginx keeps its connections to a worker and ends them itself: who waits longer never cuts a
request off that is just being sent."""


def make_server(
    application: web.Application,
    *,
    stock: bool,
    max_body_bytes: int,
    behind_proxy: bool,
    refused: Callable[[int], None] | None = None,
) -> Server:
    """A server for an application.

    Args:
        application: what answers.
        stock: whether Tornado's own server is wanted rather than the engine.
        max_body_bytes: a larger request body is refused.
        behind_proxy: whether the client's address is what `X-Real-IP` says.
        refused: told of the status of each answer that no handler gave; stock Tornado does not
            tell of those.
    """
    if stock:
        return StockServer(application, max_body_bytes=max_body_bytes, behind_proxy=behind_proxy)
    return HTTPServer(
        application,
        max_body_size=max_body_bytes,
        xheaders=behind_proxy,
        idle_connection_timeout=_IDLE_TIMEOUT_BEHIND_PROXY_S if behind_proxy else _IDLE_TIMEOUT_S,
        header_timeout=_HEADER_TIMEOUT_S,
        body_timeout=_BODY_TIMEOUT_S,
        refused=refused,
    )
