"""Every status that the documents promise, seen; and none that they do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app.web.contract import OPERATIONS, PROBLEM
from tests.support import HTML

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support import Stack

ELSEWHERE = {
    ("GET", "/", 503), ("GET", "/ready", 503),  # test_redis_outage
    ("POST", "/productionplan", 503),  # test_planning
    ("GET", "/status/events", 503),
    *(("GET", path, 401) for path in ("/metrics", "/status", "/status/data", "/status/events")),
}  # fmt: skip
"""What needs a stack of its own: seen by other tests."""

BIG = b" " * 2_100_000
AS_JSON = {"Content-Type": "application/json"}
AS_TEXT = {"Content-Type": "text/plain"}
STRANGER = {"Host": "board.example.org"}
NO_UTF8 = "%ff"
BEFORE_HEADERS = "/static/%00"
"""Refused by Nginx before it has read what the client prefers."""

Case = tuple[str, str, str, dict[str, Any], int]
"""Method, template, what is asked for, with what, and the status."""

CASES: list[Case] = [
    ("GET", "/", "/", {}, 200),
    ("GET", "/health", "/health", {}, 200),
    ("GET", "/ready", "/ready", {}, 200),
    ("GET", "/metadata", "/metadata", {}, 200),
    *(("GET", at, at, {}, 200) for at in ("/metrics", "/status", "/status/data")),
    *(
        ("GET", at, at, {"headers": STRANGER}, 403)
        for at in ("/metrics", "/status", "/status/data", "/status/events")
    ),
    ("GET", "/calculator", "/calculator?expression=1/3", {}, 200),
    ("GET", "/calculator", f"/calculator?expression={NO_UTF8}", {}, 400),
    ("GET", "/calculator", "/calculator?expression=1/0", {}, 422),
    ("GET", "/calculator", "/calculator?digits=many", {}, 422),
    ("GET", "/calculator", "/calculator?digits=&expression=", {}, 422),
    ("POST", "/calculator", "/calculator", {"json": {"expression": "1"}}, 200),
    ("POST", "/calculator", "/calculator", {"data": {"expression": "1"}}, 200),
    ("POST", "/calculator", "/calculator", {"content": b"{", "headers": AS_JSON}, 400),
    ("POST", "/calculator", "/calculator", {"content": BIG, "headers": AS_JSON}, 413),
    ("POST", "/calculator", "/calculator", {"content": b"1", "headers": AS_TEXT}, 415),
    ("POST", "/calculator", "/calculator", {"json": {"expression": "1/0"}}, 422),
    ("GET", "/calculator/{operation}", "/calculator/add?a=1&b=2", {}, 200),
    ("GET", "/calculator/{operation}", f"/calculator/add?a={NO_UTF8}&b=2", {}, 400),
    ("GET", "/calculator/{operation}", "/calculator/power?a=1&b=2", {}, 404),
    ("GET", "/calculator/{operation}", "/calculator/add?a=1", {}, 422),
    ("GET", "/productionplan", "/productionplan", {}, 200),
    ("GET", "/productionplan", f"/productionplan?example={NO_UTF8}", {}, 400),
    ("GET", "/productionplan", "/productionplan?example=9", {}, 422),
    ("POST", "/productionplan", "/productionplan", {"example": True}, 200),
    ("POST", "/productionplan", "/productionplan?details=true", {"example": True}, 200),
    ("POST", "/productionplan", "/productionplan", {"content": b"{", "headers": AS_JSON}, 400),
    ("POST", "/productionplan", "/productionplan", {"content": BIG, "headers": AS_JSON}, 413),
    ("POST", "/productionplan", "/productionplan", {"content": b"1", "headers": AS_TEXT}, 415),
    ("POST", "/productionplan", "/productionplan", {"json": {}}, 422),
    ("GET", "/docs", "/docs", {}, 200),
    ("GET", "/openapi.json", "/openapi.json", {}, 200),
    ("GET", "/static/{hashed}", "/static/none.css", {}, 404),
    ("GET", "/static/{hashed}", BEFORE_HEADERS, {}, 400),
]


def content_of(method: str, path: str, status: int) -> set[str]:
    """The media types that the documents promise."""
    for operation in OPERATIONS:
        if (operation.method, operation.path) == (method, path):
            for answer in operation.answers:
                if answer.status == status:
                    return set(answer.content)
    pytest.fail(f"{method} {path} is not said to answer {status}")


def ask(service: Stack, powerplant: Path, method: str, at: str, options: dict[str, Any]) -> Any:  # noqa: ANN401
    if options.get("example"):
        body = (powerplant / "payload3.json").read_bytes()
        options = {"content": body, "headers": AS_JSON}
    return httpx.request(method, service.url + at, timeout=20, **options)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {case[2]} {case[4]}")
def test_promised_status_is_given_in_a_promised_form(
    service: Stack, powerplant: Path, case: Case
) -> None:
    method, path, at, options, status = case
    promised = content_of(method, path, status)
    answer = ask(service, powerplant, method, at, options)
    assert answer.status_code == status
    assert answer.headers["Content-Type"].partition(";")[0] in promised
    if status >= 400 and at != BEFORE_HEADERS:
        assert answer.headers["Content-Type"] == PROBLEM
        as_page = {**options, "headers": {**options.get("headers", {}), **HTML}}
        page = ask(service, powerplant, method, at, as_page)
        is_page = page.headers["Content-Type"].startswith("text/html")
        assert page.status_code == status
        assert is_page, "a browser gets a page"
        assert "text/html" in promised


def test_static_file_and_stream_are_answered(service: Stack) -> None:
    page = service.get("/", headers=HTML).text
    style = page.split('rel="stylesheet" href="')[1].split('"')[0]
    assert service.get(style).headers["Content-Type"].startswith("text/css")
    with httpx.stream("GET", service.url + "/status/events", timeout=20) as stream:
        assert stream.status_code == 200
        lines = stream.iter_lines()
        assert any(line == "event: board" for line, _ in zip(lines, range(5), strict=False))


def test_all_that_is_promised_is_seen_here_or_elsewhere() -> None:
    promised = {
        (operation.method, operation.path, int(answer.status))
        for operation in OPERATIONS
        for answer in operation.answers
    }
    seen = {(method, path, status) for method, path, _, _, status in CASES}
    seen |= {("GET", "/static/{hashed}", 200), ("GET", "/status/events", 200)}
    assert seen & ELSEWHERE == set()
    assert seen | ELSEWHERE == promised
