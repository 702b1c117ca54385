"""The head of a response put together beforehand, for what is asked often."""

from __future__ import annotations

import http
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from tornado.httputil import HTTPHeaders, ResponseStartLine, format_timestamp

from app.server.exchange import Exchange
from app.server.headers import head_of

if TYPE_CHECKING:
    from tornado.httputil import HTTPConnection


class Prepared:
    """The head of a response but for its date and what each request brings of its own.

    Args:
        status: HTTP status code.
        headers: the same each time.
    """

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.status = status
        self._headers = HTTPHeaders(headers)
        self._reason = http.HTTPStatus(status).phrase
        self._head = head_of(status, self._reason, self._headers)[:-2]

    def send(self, connection: HTTPConnection, own: dict[str, str], body: bytes) -> None:
        """Answer a request, and end the response.

        Args:
            connection: of the request, on the engine or on stock Tornado.
            own: header fields of this response; the caller vouches that they hold no line break,
                and that `Content-Length` is here or among the prepared ones.
            body: what is sent of it: nothing for HEAD.
        """
        own = {"Date": date_of(int(time.time())), **own}
        if isinstance(connection, Exchange):
            lines = "".join([f"{name}: {value}\r\n" for name, value in own.items()])
            connection.respond(self._head + lines.encode("latin-1"), body)
            return
        headers = self._headers.copy()
        headers.update(own)
        start_line = ResponseStartLine("HTTP/1.1", self.status, self._reason)
        connection.write_headers(start_line, headers, body)
        connection.finish()


@lru_cache(maxsize=2)
def date_of(seconds: int) -> str:
    """A time as a `Date` field has it; asked for many times within a second."""
    return format_timestamp(seconds)
