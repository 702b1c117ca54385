"""Traces on their way to a collector, by OpenTelemetry."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from app.config import Sources, load
from app.identity import Identity
from app.observation import CLOSE_TIMEOUT_S, Observation, make_tracer
from app.telemetry import station
from app.telemetry.answered import Answered
from app.telemetry.station import Nowhere
from app.telemetry.trace import PassOn
from benchmarks.ports import free_port
from tests.otlp_receiver import Collector, receiving
from tests.support import ROOT, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.telemetry.trace import Trace, Tracer
    from tests.support import Stack

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
IDENTITY = Identity("1.2.3", "0" * 40, "1.2.3-0000000")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with receiving() as found:
        yield found


def tracer(**settings: str) -> Tracer:
    return make_tracer(load(Sources(settings, None)), IDENTITY)


def answered(trace: Trace | None, status: int = 200) -> Answered:
    return Answered("request-1", "GET", "/a/1", "/a/{number}", status, 0.25, "192.0.2.1", trace)


def test_span_arrives_as_it_was(collector: Collector) -> None:
    exporter = tracer(OTLP_ENDPOINT=collector.endpoint + "/", ENVIRONMENT="STAGING")
    trace = exporter.begin(f"00-{TRACE}-{PARENT}-01", "")
    assert trace is not None
    exporter.end(answered(trace))
    exporter.end(answered(exporter.begin(f"00-{TRACE}-{PARENT}-01", ""), status=503))
    exporter.close()
    span, failed = collector.spans
    assert (span.trace_id, span.parent_id, span.span_id) == (TRACE, PARENT, trace.span_id)
    assert (span.name, span.kind, span.status, failed.status) == ("GET /a/{number}", 2, 0, 2)
    assert span.end - span.start == pytest.approx(0.25e9)
    assert span.attributes == {
        "http.request.method": "GET", "http.route": "/a/{number}", "url.path": "/a/1",
        "http.response.status_code": 200, "client.address": "192.0.2.1",
        "windlass.request_id": "request-1",
    }  # fmt: skip
    assert span.resource["service.name"] == "windlass"
    assert span.resource["service.version"] == "1.2.3"
    assert span.resource["deployment.environment.name"] == "STAGING"


def test_what_the_caller_does_not_record_is_not_sent(collector: Collector) -> None:
    exporter = tracer(OTLP_ENDPOINT=collector.endpoint)
    exporter.end(answered(exporter.begin(f"00-{TRACE}-{PARENT}-00", "")))
    exporter.close()
    assert collector.spans == []


@pytest.mark.parametrize(("percent", "begun"), [("0", 0), ("100", 20)])
def test_share_of_requests_begins_a_trace(collector: Collector, percent: str, begun: int) -> None:
    exporter = tracer(OTLP_ENDPOINT=collector.endpoint, TRACE_PERCENT=percent)
    traces = [exporter.begin("", "") for _ in range(20)]
    for trace in traces:
        exporter.end(answered(trace))
    exporter.close()
    assert len(collector.spans) == begun
    assert len({span.trace_id for span in collector.spans}) == begun
    assert {span.parent_id for span in collector.spans} <= {""}


def python(code: str) -> str:
    done = subprocess.run(
        (sys.executable, "-c", code), capture_output=True, text=True, check=True, timeout=60,
        cwd=ROOT,
    )  # fmt: skip
    return done.stdout


def test_nothing_is_sent_and_nothing_loaded_without_an_address() -> None:
    assert isinstance(tracer(), PassOn)
    loaded = python("import sys, app.serving; print(*sys.modules)").split()
    # The client of Redis looks for the API by itself.
    assert not [name for name in loaded if name.startswith("opentelemetry.exporter")]
    assert "app.telemetry.export" not in loaded


def test_missing_extra_is_named() -> None:
    said = python(
        "import sys; sys.modules['opentelemetry.exporter'] = None\n"
        "from app import config, errors, identity, observation\n"
        "address = {'OTLP_ENDPOINT': 'http://localhost:4318'}\n"
        "settings = config.load(config.Sources(address, None))\n"
        "try: observation.make_tracer(settings, identity.Identity('1', '0', '1'))\n"
        "except errors.StackError as error: print(error)"
    )
    assert "windlass[otel]" in said


def test_collector_that_is_away_holds_up_nobodys_end() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    settings = load(Sources({"OTLP_ENDPOINT": address, "METRICS": "no"}, None))

    async def serve() -> None:
        async with Observation(settings, IDENTITY, Nowhere(), None):
            sends = station.installed().tracer
            sends.end(answered(sends.begin("", "")))

    before = station.installed()
    begun = time.monotonic()
    try:
        asyncio.run(serve())
    finally:
        station.install(before)
    assert time.monotonic() - begun < CLOSE_TIMEOUT_S + 5


def test_stack_sends_the_spans_of_its_requests(
    make_stack: Callable[..., Stack], collector: Collector
) -> None:
    stack = make_stack(
        OTLP_ENDPOINT=collector.endpoint, TRACE_PERCENT="0", WORKERS="1", LOG_FORMAT="json",
        ACCESS_LOG="yes",
    )  # fmt: skip
    stack.up()
    for path in ("/metadata", "/calculator/add?a=1&b=2", "/nowhere"):
        answer = stack.get(path, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
        assert "traceparent" not in answer.headers
    stack.get("/metadata")
    stack.down()  # which waits for what is left to be sent
    wait_for(lambda: len(collector.spans) == 3, "the spans")
    assert {span.attributes["http.route"] for span in collector.spans} == {
        "/metadata", "/calculator/{operation}", "(unmatched)",
    }  # fmt: skip
    assert {(span.trace_id, span.parent_id) for span in collector.spans} == {(TRACE, PARENT)}
    for span in collector.spans:
        assert span.span_id in stack.log("web")
