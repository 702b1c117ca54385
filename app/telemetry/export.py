"""Traces to a collector, by OpenTelemetry's own SDK: the optional extra `windlass[otel]`.

Imported only where OTLP_ENDPOINT asks for it. A request that brings a trace is recorded if its
caller records it; of the others some begin a trace, by TRACE_PERCENT. Spans are sent in the
background, by OTLP over HTTP, and dropped rather than waited for when the collector is slow or
away.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from app.telemetry.trace import SAMPLED, Trace, new_span_id, new_trace_id, read

if TYPE_CHECKING:
    from app.telemetry.answered import Answered

TIMEOUT_S = 5.0
FLUSH_TIMEOUT_S = 2.0
_SCOPE = InstrumentationScope("windlass")
_STATE = TraceState()
_FLAGS = TraceFlags(TraceFlags.SAMPLED)


class Exporter:
    """Records spans and sends them.

    Args:
        endpoint: base address of the collector, to which /v1/traces is added.
        percent: of the requests without a trace that begin one.
        attributes: of the service, such as `service.name`.
    """

    def __init__(self, endpoint: str, percent: int, attributes: dict[str, str]) -> None:
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=TIMEOUT_S)
        self._processor = BatchSpanProcessor(exporter)
        self._share = percent / 100
        self._resource = Resource.create(dict(attributes))

    sends = True

    def begin(self, parent: str, state: str) -> Trace | None:
        """As `Tracer.begin`."""
        found = read(parent, state) if parent else None
        if found is not None:
            return found
        if random.random() >= self._share:
            return None
        return Trace(new_trace_id(), new_span_id(), flags=SAMPLED)

    def end(self, request: Answered) -> None:
        """As `Tracer.end`."""
        trace = request.trace
        if trace is None or not trace.flags & SAMPLED:
            return
        # The SDK's own way to a span costs many times as much, for what is known here already.
        ended = time.time_ns()
        is_fault = request.status >= 500
        self._processor.on_end(
            ReadableSpan(
                name=f"{request.method} {request.route}",
                context=_context(trace.trace_id, trace.span_id, is_remote=False),
                parent=_context(trace.trace_id, trace.parent_id, is_remote=True)
                if trace.parent_id
                else None,
                resource=self._resource,
                attributes=_attributes(request),
                kind=SpanKind.SERVER,
                status=Status(StatusCode.ERROR if is_fault else StatusCode.UNSET),
                start_time=ended - int(request.duration_s * 1e9),
                end_time=ended,
                instrumentation_scope=_SCOPE,
            )
        )

    def close(self) -> None:
        """As `Tracer.close`; waits for the collector for two seconds at most."""
        self._processor.force_flush(int(FLUSH_TIMEOUT_S * 1000))
        self._processor.shutdown()


def _context(trace_id: str, span_id: str, *, is_remote: bool) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote, _FLAGS, _STATE)


def _attributes(request: Answered) -> dict[str, str | int]:
    """By OpenTelemetry's conventions for HTTP servers."""
    return {
        "http.request.method": request.method,
        "http.route": request.route,
        "url.path": request.path,
        "http.response.status_code": request.status,
        "client.address": request.remote,
        "windlass.request_id": request.request_id,
    }
