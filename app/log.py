"""Structured logs on standard output: JSON lines in production, readable ones in development.

Owns the form of every log line of the master, the workers and the libraries beneath them. What
looks like credentials in a URL is masked on its way out, whichever code logged it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any, TextIO, cast
from weakref import WeakSet

import msgspec
import structlog

from app.config import Secret

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from structlog.typing import FilteringBoundLogger, Processor, WrappedLogger

    from app.telemetry.answered import Answered
    from app.telemetry.trace import Trace

_USERINFO = re.compile(r"(?<=://)[^/\s]*@")
_QUERY = re.compile(r"([?&](?:username|password)=)[^&\s]+", re.IGNORECASE)


def configure(
    *,
    as_json: bool,
    level: str,
    colors: bool = False,
    stream: TextIO | None = None,
    **context: object,
) -> None:
    """Set up logging for this process.

    Args:
        as_json: JSON lines; else one readable line each.
        level: the least severe level that is written: debug, info, warning, error.
        colors: whether a readable line is coloured.
        stream: where lines go, standard output by default.
        context: what every line of this process carries, such as `worker=0`.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    out = cast("TextIO", _Lossy(stream or sys.stdout))
    global _access_target  # noqa: PLW0603 - a process has one log, as `structlog.configure` has
    direct = as_json and threshold <= logging.INFO
    _access_target = _AccessTarget(out, context.get("worker")) if direct else None
    render = _render(as_json=as_json, colors=colors)

    def add_context(
        _logger: WrappedLogger, _name: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        for key, value in context.items():
            event.setdefault(key, value)
        return event

    shared: list[Processor] = [
        add_context,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.INFO))
    logging.captureWarnings(capture=True)


class _Lossy:
    """A stream that loses what cannot be written: no request is to fail for its line in a log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


FLUSH_S = 0.02
"""How long a line of a request may wait for others: writing one takes longer than making ten."""
_MOST_WAITING = 256


class AccessLog:
    """Writes a line for each request, those of some milliseconds at once.

    A line of JSON has the form of every other line; it is only put together with less work, since
    there is one for each request. Where lines are not JSON, or info is below the level, they go
    the way of the others.
    """

    def __init__(self) -> None:
        self._target = _access_target
        self._waiting: list[tuple[float, Answered]] = []
        _access_logs.add(self)

    def write(self, request: Answered) -> None:
        """Write the line of one request, within `FLUSH_S` or with the next `flush`."""
        if self._target is None:
            _write_as_others(request)
            return
        waiting = self._waiting
        if not waiting:
            asyncio.get_running_loop().call_later(FLUSH_S, self.flush)
        waiting.append((time.time(), request))
        if len(waiting) >= _MOST_WAITING:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        waiting, self._waiting = self._waiting, []
        target = self._target
        if target is None or not waiting:
            return
        target.stream.write(_lines(waiting, target.worker))
        target.stream.flush()


def flush() -> None:
    """Write the access lines that wait: a process is about to end."""
    for each in tuple(_access_logs):
        each.flush()


def _write_as_others(request: Answered) -> None:
    get().info(
        "request", request_id=request.request_id, method=request.method, path=request.path,
        status=request.status, duration_ms=round(request.duration_s * 1000, 2),
        remote=request.remote, **({} if request.trace is None else place_of(request.trace)),
    )  # fmt: skip


def _lines(requests: list[tuple[float, Answered]], worker: object) -> str:
    """The lines of requests, each with the time at which it was answered."""
    known, second = -1, ""
    end = "" if worker is None else f',"worker":{msgspec.json.encode(worker).decode()}'
    lines = []
    for at, request in requests:
        microseconds = int(at * 1_000_000)
        if microseconds // 1_000_000 != known:
            known = microseconds // 1_000_000
            second = f"{datetime.fromtimestamp(known, UTC):%Y-%m-%dT%H:%M:%S}."
        path, trace = request.path, request.trace
        place = "" if trace is None else _PLACE % (trace.trace_id, trace.span_id)
        lines.append(
            f'{{"request_id":{_quote(request.request_id)},"method":{_quote(request.method)},'
            f'"path":{_quote(mask(path) if "://" in path else path)},"status":{request.status},'
            f'"duration_ms":{round(request.duration_s * 1000, 2)},'
            f'"remote":{_quote(request.remote)},"event":"request","level":"info",'
            f'"timestamp":"{second}{str(microseconds)[-6:]}Z"{end}{place}}}\n'
        )
    return "".join(lines)


@dataclass(frozen=True, slots=True)
class _AccessTarget:
    stream: TextIO
    worker: object


_PLACE = ',"trace_id":"%s","span_id":"%s"'
_quote = encode_basestring_ascii
_access_logs: WeakSet[AccessLog] = WeakSet()
_access_target: _AccessTarget | None = None
"""Where lines of JSON go; None where access lines go the way of the others."""


def place_of(trace: Trace) -> dict[str, str]:
    """What a line of a request says of its place in a trace."""
    return {"trace_id": trace.trace_id, "span_id": trace.span_id}


def get(**context: Any) -> FilteringBoundLogger:  # noqa: ANN401 - a log line takes any value
    """A logger whose lines carry `context`."""
    return cast("FilteringBoundLogger", structlog.get_logger(**context))


def mask(text: str) -> str:
    """`text` with the credentials in its URLs replaced by asterisks."""
    return _QUERY.sub(r"\1***", _USERINFO.sub("***@", text))


def _render(*, as_json: bool, colors: bool) -> list[Processor]:
    if as_json:
        return [structlog.processors.format_exc_info, _mask_credentials, _as_json]
    console = structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback
    )
    return [structlog.processors.format_exc_info, _mask_credentials, console]


def _mask_credentials(
    _logger: WrappedLogger, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for key, value in event.items():
        event[key] = _masked(value)
    return event


def _masked(value: object) -> object:
    match value:
        case Secret():
            return repr(value)
        case str():
            # A lone surrogate, as of a file's name, would break the stream.
            plain = value if value.isascii() else value.encode(errors="backslashreplace").decode()
            return mask(plain) if "://" in plain else plain
        case BaseException():
            return _masked(repr(value))
        case list() | tuple():
            return [_masked(item) for item in value]
        case dict():
            return {key: _masked(item) for key, item in value.items()}
    return value


def _as_json(_logger: WrappedLogger, _name: str, event: MutableMapping[str, Any]) -> str:
    return msgspec.json.encode(event, enc_hook=repr, order=None).decode()
