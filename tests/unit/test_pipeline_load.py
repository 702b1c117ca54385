"""The load test: kept levels pass, missed ones do not, and a stalled service cannot hide."""

from __future__ import annotations

import asyncio
import json
import math
import random
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from benchmarks.open_loop import Sample
from pipeline.jobs import PipelineError
from pipeline.load import judging, profile, sending
from pipeline.load.profile import Levels, Profile, Request
from pipeline.load.sending import Asked
from tests.support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REQUEST = Request("/health", 1.0)
LEVELS = Levels(0.999, 250)


def asked(took_ms: float, fault: str = "", late_ms: float = 0.0) -> Asked:
    """A request that the client was late to send, and the service took so long to answer."""
    sample = Sample(0.0, late_ms / 1000, (late_ms + took_ms) / 1000, 200)
    return Asked(REQUEST, sample, fault, timed_out=fault == "ReadTimeout")


def at_rate(found: list[Asked], rate_hz: float = 50.0) -> list[Asked]:
    """The same, each at its intended time."""

    def moved(sample: Sample, by_s: float) -> Sample:
        times = (sample.intended + by_s, sample.sent + by_s, sample.answered + by_s)
        return Sample(*times, sample.status)

    return [replace(one, sample=moved(one.sample, n / rate_hz)) for n, one in enumerate(found)]


# ---- judging


def test_levels_that_are_just_kept_are_kept_and_one_more_failure_misses() -> None:
    kept = [asked(249)] * 999 + [asked(10, "status 502")]
    assert judging.judge(kept, LEVELS).word == "KEPT"
    missed = [asked(249)] * 998 + [asked(10, "status 502")] * 2
    verdict = judging.judge(missed, LEVELS)
    assert verdict.word == "MISSED"
    assert "2 of 1000 requests failed" in verdict.missed[0]
    assert verdict.faults == {"/health: status 502": 2}


def test_percentile_counts_a_failed_request_as_never_answered() -> None:
    verdict = judging.judge([asked(10)] * 980 + [asked(10, "x")] * 20, Levels(0.5, 250))
    assert math.isinf(verdict.p99_ms)
    assert verdict.missed == ["p99 never is above 250 ms"]


def test_slow_tail_misses_the_percentile() -> None:
    assert judging.judge([asked(10)] * 990 + [asked(900)] * 10, LEVELS).word == "KEPT"
    assert judging.judge([asked(10)] * 989 + [asked(900)] * 11, LEVELS).word == "MISSED"


@pytest.mark.parametrize(
    ("late_ms", "took_ms", "word"),
    [
        (0, 240, "KEPT"),
        (0, 260, "MISSED"),
        (200, 10, "KEPT"),  # within the level in spite of the client
        (200, 460, "MISSED"),  # missed without what the client may have added
        (200, 60, "INVALID"),
        (200, 440, "INVALID"),
    ],
)
def test_late_client_hides_no_verdict_that_holds_without_it(
    late_ms: float, took_ms: float, word: str
) -> None:
    verdict = judging.judge(at_rate([asked(took_ms, late_ms=late_ms)] * 1000), LEVELS)
    assert verdict.word == word
    assert bool(verdict.invalid) is (word == "INVALID")


@pytest.mark.parametrize(
    ("late_ms", "fault", "word"),
    [
        (0, "status 502", "MISSED"),
        (0, "ReadTimeout", "MISSED"),
        (200, "status 502", "MISSED"),
        (200, "ConnectError", "MISSED"),
        (200, "ReadTimeout", "INVALID"),
    ],
)
def test_failure_is_the_service_s_own_unless_a_late_client_let_it_time_out(
    late_ms: float, fault: str, word: str
) -> None:
    found = [asked(10, late_ms=late_ms)] * 995 + [asked(10, fault, late_ms)] * 5
    assert judging.judge(at_rate(found), LEVELS).word == word


def test_level_that_was_kept_at_a_lower_rate_is_not_kept() -> None:
    found = at_rate([asked(10)] * 995 + [asked(10, late_ms=2000)] * 5)
    verdict = judging.judge(found, LEVELS)
    assert (verdict.word, round(verdict.rate, 2)) == ("INVALID", 0.91)
    assert "reached 91% of the rate" in judging.markdown(verdict, "http://x", "p", LEVELS)


def test_report_is_the_same_for_people_and_programs() -> None:
    verdict = judging.judge([asked(10)] * 997 + [asked(10, "ReadTimeout")] * 3, LEVELS)
    text = judging.markdown(verdict, "http://x", "p", LEVELS)
    assert "# Load test: MISSED" in text
    assert "| /health: ReadTimeout | 3 |" in text
    found = json.loads(judging.json(verdict, "http://x", "p", LEVELS))
    assert (found["verdict"], found["count"]) == ("MISSED", 1000)


# ---- profiles


@pytest.mark.parametrize("name", ["short", "staging"])
def test_profiles_of_this_checkout_are_sound(name: str) -> None:
    for request in profile.read(name).requests:
        request.content()


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ("rate_hz = 1", "fewer than 500"),
        ("levels = { availability = 1.5, p99_ms = 1 }", "availability"),
        ("requests = []", "it has requests"),
        ("timeout_s = 600", "timeout_s"),
        ("colour = 'red'", "colour"),
    ],
)
def test_profile_that_could_show_nothing_is_refused(
    entries: str, said: str, tmp_path: Path
) -> None:
    usual = {
        "rate_hz": "100", "seconds": "10", "levels": "{ availability = 0.9, p99_ms = 1 }",
        "requests": "[{ path = '/', share = 1 }]",
    }  # fmt: skip
    key, _, value = entries.partition(" = ")
    lines = (f"{k} = {v}" for k, v in (usual | {key: value}).items())
    file = tmp_path / "levels.toml"
    file.write_text("[profiles.p]\n" + "\n".join(lines))
    with pytest.raises(PipelineError, match=said):
        profile.read("p", file)


def test_unknown_profile_is_named_with_those_that_there_are() -> None:
    with pytest.raises(PipelineError, match="no profile x; it has staging, short"):
        profile.read("x")


# ---- sending


class Service(ThreadingHTTPServer):
    """Answers, and stalls once for some seconds; or fails every so many requests."""

    stall_s = 0.0
    fails_every = 0
    count = 0
    stalled_until = 0.0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def do_GET(self) -> None:
        service = self.server
        service.count += 1
        if service.count == 30 and service.stall_s:
            service.stalled_until = time.monotonic() + service.stall_s
        time.sleep(max(0.0, service.stalled_until - time.monotonic()))
        failed = service.fails_every and service.count % service.fails_every == 0
        self.send_response(500 if failed else 200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"OK\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[Service]:
    found = Service(("127.0.0.1", 0), Handler)
    threading.Thread(target=found.serve_forever, args=(0.05,), daemon=True).start()
    yield found
    found.shutdown()
    found.server_close()


def send(service: Service, **more: float) -> list[Asked]:
    request = Request("/health", 1.0, contains="OK")
    settings = {"rate_hz": 100.0, "seconds": 1.0, **more}
    wanted = Profile(levels=LEVELS, requests=[request], **settings)
    url = f"http://127.0.0.1:{service.server_port}"
    return asyncio.run(sending.send(url, wanted, random.Random(1)))


def test_stall_is_seen_by_every_request_that_falls_into_it(service: Service) -> None:
    service.stall_s = 0.5
    found = send(service)
    slow = [one for one in found if one.sample.latency_s > 0.25]
    assert len(found) == 100
    assert len(slow) >= 15, "at 100 requests a second, half of a stall of 0.5 s is 25"


def test_failures_are_counted_and_warmup_is_not(service: Service) -> None:
    service.fails_every = 10
    found = send(service, seconds=0.5, warmup_s=0.2)
    assert service.count == 70
    assert len(found) == 50
    assert 2 <= sum(one.fault == "status 500" for one in found) <= 7


def test_request_that_ran_out_of_time_is_told_from_one_that_was_refused(service: Service) -> None:
    service.stall_s, service.fails_every = 0.6, 10
    found = [one for one in send(service, timeout_s=0.2) if one.fault]
    # Some wait for an answer, and some for the connection.
    assert {(one.fault.removeprefix("Connect").removeprefix("Read"), one.timed_out)
            for one in found} == {("Timeout", True), ("status 500", False)}  # fmt: skip


def test_service_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    done = subprocess.run(
        (sys.executable, "-m", "pipeline", "load", "http://127.0.0.1:1", "--output", str(tmp_path)),
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "does not answer" in done.stderr
