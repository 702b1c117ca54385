"""Requests answered without a handler: `/health`, `/metadata` and small production plans.

What is asked most, and needs nothing that a handler offers, is answered in fewer steps. Whatever is
out of the ordinary (another method, a query, an answer that explains itself, a wrong value) goes on
to the handlers of `app.web.health` and `app.web.productionplan`, which answer in the same way.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from app.server import Prepared
from app.telemetry.answered import Answered
from app.web.handler import COMMON_HEADERS, JSON, request_id_of

if TYPE_CHECKING:
    from tornado.httputil import HTTPConnection, HTTPHeaders, RequestStartLine

    from app.web.handler import PlanDesk
    from app.web.recording import Recording


_MOST_DIGITS = 8


class FixedAnswer:
    """The one answer to a path, for as long as a worker lives.

    Args:
        media_type: of the body.
        body: bytes.
        recording: notes each request.
    """

    def __init__(self, media_type: str, body: bytes, recording: Recording) -> None:
        length = str(len(body))
        self._sender = _Sender({"Content-Type": media_type, "Content-Length": length}, recording)
        self._body = body

    def takes(self, start_line: RequestStartLine, headers: HTTPHeaders) -> bool:
        """Whether it is a GET or HEAD, without a body."""
        return (
            start_line.method in {"GET", "HEAD"}
            and "Content-Length" not in headers
            and "Transfer-Encoding" not in headers
        )

    def answer(
        self,
        connection: HTTPConnection,
        start_line: RequestStartLine,
        headers: HTTPHeaders,
        body: bytes,  # noqa: ARG002
    ) -> bool:
        """Write the whole response, and note it."""
        answer = self._body if start_line.method == "GET" else b""
        self._sender.send(connection, start_line, headers, {}, answer, time.monotonic())
        return True


class QuickPlan:
    """A production plan that is computed at once.

    Args:
        plans: computes it.
        recording: notes each request.
    """

    def __init__(self, plans: PlanDesk, recording: Recording) -> None:
        self._plans = plans
        self._sender = _Sender({"Content-Type": JSON}, recording)

    def takes(self, start_line: RequestStartLine, headers: HTTPHeaders) -> bool:
        """Whether it is a POST of JSON, of known and moderate length."""
        length = headers.get("Content-Length", "")
        return (
            start_line.method == "POST"
            and headers.get("Content-Type") == JSON
            and len(length) < _MOST_DIGITS
            and length.isdecimal()
            and int(length) <= self._plans.quick_body_bytes
            and "Content-Encoding" not in headers
        )

    def answer(
        self,
        connection: HTTPConnection,
        start_line: RequestStartLine,
        headers: HTTPHeaders,
        body: bytes,
    ) -> bool:
        """Write the whole response, and note it; False where a handler has to."""
        started = time.monotonic()
        try:
            answer = self._plans.answer_at_once(body, details=False)
        except Exception:  # noqa: BLE001 - the handler meets it again, to answer and to log it
            return False
        if answer is None:
            return False
        length = {"Content-Length": str(len(answer))}
        self._sender.send(connection, start_line, headers, length, answer, started)
        return True


class _Sender:
    """Writes responses of one kind, and has them noted."""

    def __init__(self, headers: dict[str, str], recording: Recording) -> None:
        self._prepared = Prepared(200, {**COMMON_HEADERS, **headers})
        self._recording = recording

    def send(
        self,
        connection: HTTPConnection,
        start_line: RequestStartLine,
        headers: HTTPHeaders,
        own: dict[str, str],
        body: bytes,
        started: float,
    ) -> None:
        request_id = request_id_of(headers)
        recording, status = self._recording, self._prepared.status
        if not recording.is_idle:
            # Noted before the answer leaves, as `AppHandler.flush` does. A shortcut is found by its
            # whole path, which is the route's template, too.
            method, path, _ = start_line
            duration_s = time.monotonic() - started
            if recording.tells(status, duration_s):
                remote = getattr(getattr(connection, "context", None), "remote_ip", "")
                trace = recording.begin(headers)
                recording.end(
                    Answered(request_id, method, path, path, status, duration_s, remote, trace)
                )
            else:
                recording.count(method, path, status, duration_s)
        self._prepared.send(connection, {"X-Request-ID": request_id, **own}, body)
