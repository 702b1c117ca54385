"""Nginx as it faces the world: header fields, refusals, what reaches a worker, what is logged."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app.stack.nginx import SECURITY_HEADERS
from tests.nginx_front import Front, running
from tests.support import HTML, Stack, wait_for

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with running(MAX_BODY_BYTES="100000") as started:
        yield started


def check_headers(answer: httpx.Response) -> None:
    """Every answer has each of the set once, and does not say which Nginx this is."""
    for name, _ in SECURITY_HEADERS:
        assert len(answer.headers.get_list(name)) == 1, (name, answer.status_code, answer.url)
    is_page = answer.headers["Content-Type"].startswith("text/html")
    policy = answer.headers["Content-Security-Policy"]
    assert ("style-src 'self'" in policy) == is_page
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Server"] == "nginx"
    assert "Strict-Transport-Security" not in answer.headers


def check_problem(answer: httpx.Response, status: int) -> None:
    """An error that Nginx answers: problem details, not to be kept, found again in the log."""
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json()["status"] == status
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    check_headers(answer)


# ---- header fields


@pytest.mark.parametrize("path", ["/page", "/data", "/favicon.ico"])
def test_answers_carry_the_set_of_security_headers(front: Front, path: str) -> None:
    answer = httpx.get(front.url + path)
    assert answer.status_code == 200
    check_headers(answer)


def test_static_files_carry_them_and_are_kept_for_ever(front: Front) -> None:
    answer = httpx.get(front.url + front.plan.static.stylesheet)
    check_headers(answer)
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_errors_of_nginx_carry_them(front: Front) -> None:
    check_problem(httpx.get(front.url + "/static/none"), 404)
    check_problem(httpx.post(front.url + "/data", content=bytes(100_001)), 413)
    check_problem(httpx.get(front.url + "/break"), 502)
    check_problem(httpx.get(front.url + "/data", headers={"X-Large": "x" * 40_000}), 431)
    check_problem(httpx.get(front.url + "/" + "x" * 9_000), 414)
    refused = httpx.post(front.url + front.plan.static.stylesheet)
    check_problem(refused, 405)
    assert refused.headers["Allow"] == "GET, HEAD"
    page = httpx.get(front.url + "/static/none", headers=HTML)
    check_headers(page)
    assert page.headers["Content-Type"].startswith("text/html")


def test_handler_that_sets_a_policy_of_its_own_has_its_way(front: Front) -> None:
    answer = httpx.get(front.url + "/own-policy")
    assert answer.headers.get_list("Content-Security-Policy") == ["default-src https:"]
    assert answer.headers.get_list("X-Frame-Options") == ["SAMEORIGIN"]
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_pages_of_the_service_need_no_more_than_the_policy_allows(service: Stack) -> None:
    paths = ("/", "/calculator", "/productionplan", "/status", "/docs", "/nowhere", "/static/none")
    forbidden = r"""<script(?! src="/static/)|<style|\sstyle=|\son[a-z]+=|=["']https?://"""
    for path in paths:
        page = service.get(path, headers=HTML)
        check_headers(page)
        assert not re.search(forbidden, page.text), path


def test_file_by_its_internal_address_is_nothing_that_is_there(front: Front) -> None:
    before = len(front.workers.seen)
    for path in ("/.problem/404.json", "/.problem/maintenance.html", "/.problem/other"):
        check_problem(httpx.get(front.url + path), 404)
    assert len(front.workers.seen) == before


# ---- what reaches a worker


def headers_seen(front: Front, url: str = "", **headers: str) -> dict[str, Any]:
    seen: dict[str, Any] = httpx.get((url or front.url) + "/data", headers=headers).json()
    return seen


def test_stranger_cannot_say_who_it_is(front: Front) -> None:
    claims = {"X-Forwarded-For": "6.6.6.6", "X-Real-IP": "6.6.6.6", "X-Forwarded-Proto": "https",
              "X-Forwarded-Host": "evil", "Forwarded": "for=6.6.6.6", "Proxy": "evil"}  # fmt: skip
    seen = headers_seen(front, **claims)
    assert seen["x-forwarded-for"] == seen["x-real-ip"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "http"
    assert not {"forwarded", "proxy", "x-forwarded-host"} & set(seen)


def test_trusted_proxy_says_for_whom_it_asks() -> None:
    with running(TRUSTED_PROXIES="127.0.0.0/8, 10.0.0.1") as front:
        claims = {"X-Forwarded-For": "6.6.6.6, 203.0.113.7, 10.0.0.1", "X-Forwarded-Proto": "https"}
        seen = headers_seen(front, **claims)
        assert seen["x-forwarded-for"] == seen["x-real-ip"] == "203.0.113.7", "the last untrusted"
        assert seen["x-forwarded-proto"] == "https"
        assert headers_seen(front, **{"X-Forwarded-Proto": "gopher"})["x-forwarded-proto"] == "http"
        wait_for(lambda: any(line["remote"] == "203.0.113.7" for line in front.lines()), "the line")


def test_absolute_address_beats_the_host_field(front: Front) -> None:
    front.exchange(
        b"GET http://inside.example/data HTTP/1.1\r\nHost: other.example\r\n"
        b"Connection: close\r\n\r\n"
    )
    assert front.workers.seen[-1].headers["host"] == "inside.example"


@pytest.mark.parametrize("host", ["Example.ORG:8080", "example.org", "[::1]:80", "127.0.0.1"])
def test_host_reaches_the_worker_as_it_was_sent(front: Front, host: str) -> None:
    assert headers_seen(front, Host=host)["host"] == host


def test_only_requests_that_may_be_repeated_are_tried_elsewhere(front: Front) -> None:
    def tries(method: str) -> list[int]:
        before = len(front.workers.seen)
        assert httpx.request(method, front.url + "/break").status_code == 502
        return sorted(request.worker for request in front.workers.seen[before:])

    assert tries("GET") == [0, 1]
    assert tries("PUT") == [0, 1]
    assert len(tries("POST")) == 1
    assert len(tries("PATCH")) == 1


def test_websocket_passes_and_any_other_change_of_protocol_does_not(front: Front) -> None:
    with front.connect() as connection:
        connection.sendall(
            b"GET /socket HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
        connection.sendall(b"to and fro")
        assert connection.recv(4096) == b"to and fro"
    seen = headers_seen(front, Upgrade="h2c", Connection="Upgrade, HTTP2-Settings")
    assert not {"upgrade", "connection"} & set(seen)


def test_event_is_passed_on_before_the_next_one_is_there(front: Front) -> None:
    with httpx.stream(
        "GET", front.url + "/events", headers={"Accept-Encoding": "gzip"}, timeout=20
    ) as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"data: first\n\n"
        front.workers.released.set()
        assert b"".join(parts) == b"data: second\n\n"


def test_text_is_packed_for_who_can_unpack_it(front: Front) -> None:
    packed = httpx.get(front.url + "/text", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["Vary"]
    plain = httpx.get(front.url + "/text", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert packed.text == plain.text


# ---- limits, hosts, maintenance


def test_requests_beyond_the_rate_are_told_when_to_come_again() -> None:
    with running(RATE_LIMIT_PER_S="1", RATE_LIMIT_BURST="2") as front:
        begun = time.monotonic()
        answers = [httpx.get(front.url + "/data") for _ in range(12)]
        allowed = 3 + (time.monotonic() - begun)
        served = [answer for answer in answers if answer.status_code == 200]
        assert 3 <= len(served) <= allowed + 1
        refused = [answer for answer in answers if answer.status_code != 200]
        for answer in refused:
            check_problem(answer, 429)
            assert answer.headers["Retry-After"] == "1"
        assert {httpx.get(front.url + "/health").status_code for _ in range(10)} == {200}


def test_requests_under_way_beyond_the_limit_are_refused() -> None:
    with running(CONNECTION_LIMIT="2") as front, front.connect() as one, front.connect() as two:
        for connection in (one, two):
            connection.sendall(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"first" in read_until(connection, b"first")
        check_problem(httpx.get(front.url + "/data"), 429)
        assert httpx.get(front.url + "/health").status_code == 200
        front.workers.released.set()
        wait_for(lambda: httpx.get(front.url + "/data").status_code == 200, "room again", 20)


def read_until(connection: socket.socket, wanted: bytes) -> bytes:
    got = b""
    while wanted not in got:
        part = connection.recv(4096)
        assert part, got
        got += part
    return got


def test_without_limits_nobody_is_refused(front: Front) -> None:
    assert {httpx.get(front.url + "/data").status_code for _ in range(100)} == {200}


def test_hosts_that_are_not_named_are_misdirected() -> None:
    with running(ALLOWED_HOSTS="example.org *.example.com") as front:
        for host in ("example.org", "EXAMPLE.org:99", "a.b.example.com"):
            assert httpx.get(front.url + "/data", headers={"Host": host}).status_code == 200
        for host in ("example.com", "example.org.evil", "127.0.0.1", "a.example.org"):
            check_problem(httpx.get(front.url + "/data", headers={"Host": host}), 421)
        check_problem(httpx.get(front.url + "/static/none", headers={"Host": "evil"}), 421)
        assert front.exchange(b"GET /data HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 421 ")
        # What the request line names is what counts, and what is passed on.
        data = b"GET http://evil/data HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n"
        assert front.exchange(data).startswith(b"HTTP/1.1 421 ")
        assert httpx.get(front.url + "/health").status_code == 200, "the stack's own probe"


def test_maintenance_closes_the_service_and_leaves_open_what_says_how_it_is(front: Front) -> None:
    front.plan.layout.maintenance.touch()
    try:
        before = len(front.workers.seen)
        for answer in (
            httpx.get(front.url + "/data"),
            httpx.post(front.url + "/data", content="x"),
        ):
            check_problem(answer, 503)
            assert answer.headers["Retry-After"] == "60"
        page = httpx.get(front.url + "/", headers=HTML)
        assert page.status_code == 503
        assert "Closed for maintenance" in page.text
        assert len(front.workers.seen) == before
        for path in ("/health", "/ready", "/metadata", front.plan.static.stylesheet):
            assert httpx.get(front.url + path).status_code == 200
        check_problem(httpx.get(front.url + "/static/none"), 404)
    finally:
        front.plan.layout.maintenance.unlink()
    assert httpx.get(front.url + "/data").status_code == 200


# ---- the log


def test_access_line_says_what_was_asked_and_who_answered(front: Front) -> None:
    answer = httpx.get(front.url + "/data?secret=1", headers={"User-Agent": 'a"b\\c'})

    def found() -> list[dict[str, Any]]:
        identifier = answer.json()["x-request-id"]
        return [line for line in front.lines() if line["request_id"] == identifier]

    (line,) = wait_for(found, "the line")
    expected = {
        "remote": "127.0.0.1", "method": "GET", "path": "/data", "status": 200, "http": "HTTP/1.1",
        "bytes": len(answer.content), "upstream_status": "200", "tls": "",
    }  # fmt: skip
    assert {name: line[name] for name in expected} == expected
    assert line["user_agent"].startswith('a"b\\c')
    assert re.fullmatch(r"unix:.*/worker-[01]\.sock", line["upstream"])
    assert line["duration_s"] >= 0
    assert float(line["upstream_duration_s"]) >= 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*", line["timestamp"])


def test_windlass_logs_shows_the_access_lines(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    stack.up()
    stack.get("/metadata", headers={"User-Agent": "a-name-of-its-own"})
    wait_for(lambda: "a-name-of-its-own" in stack.run("logs", "nginx").stdout, "the line")
