"""`/health` and `/metadata`, answered without a handler.

What stands in these answers is fixed for as long as a worker lives. Whatever is not a GET or HEAD
of exactly these paths comes to the handlers of `app.web.health`, which answer in the same way.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from app.server import Prepared
from app.web.handler import COMMON_HEADERS, request_id_of

if TYPE_CHECKING:
    from tornado.httputil import HTTPConnection, HTTPHeaders, RequestStartLine

    from app.web.handler import LogAccess


class FixedAnswer:
    """The one answer to a path.

    Args:
        media_type: of the body.
        body: the same for as long as the worker lives.
        log_access: writes the access line.
    """

    def __init__(self, media_type: str, body: bytes, log_access: LogAccess) -> None:
        headers = {**COMMON_HEADERS, "Content-Type": media_type}
        self._prepared = Prepared(200, headers, body)
        self._log_access = log_access

    def answer(
        self, connection: HTTPConnection, start_line: RequestStartLine, headers: HTTPHeaders
    ) -> None:
        """Write the whole response, and the access line."""
        started = time.monotonic()
        request_id = request_id_of(headers)
        is_get = start_line.method == "GET"
        self._prepared.send(connection, {"X-Request-ID": request_id}, with_body=is_get)
        context: Any = getattr(connection, "context", None)
        self._log_access(
            request_id=request_id,
            method=start_line.method,
            path=start_line.path,
            status=self._prepared.status,
            duration_s=time.monotonic() - started,
            remote=getattr(context, "remote_ip", ""),
        )
