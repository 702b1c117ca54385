"""Tornado's own tests of its HTTP server, on the engine: all pass but those named here."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 100
_HURRIED = "SimpleHTTP"
"""Tests of these classes allow a tenth of a second, which is not always enough beside others."""
MODULES = {
    "asyncio": ("circlerefs", "httpserver", "routing", "security_corpus",
                "simple_httpclient", "web", "websocket"),
    "uvloop": ("httpserver", "simple_httpclient", "web", "websocket"),
}  # fmt: skip

_BARE_LINE_FEED = "writes a bare line feed as a line's end, which two servers may read in two ways"
_METHOD = "asks with a method that llhttp does not know: 400 rather than 405"
EXCEPTED = {
    "httpserver_test.HTTPConnectionTest.test_newlines": _BARE_LINE_FEED,
    "httpserver_test.HTTPServerRawTest.test_chunked_request_body_duplicate_header": _BARE_LINE_FEED,
    "httpserver_test.HTTPServerRawTest."
    "test_chunked_request_body_transfer_encoding_and_content_length": _BARE_LINE_FEED,
    "httpserver_test.HTTPServerRawTest."
    "test_chunked_request_body_unsupported_transfer_encoding": _BARE_LINE_FEED,
    "httpserver_test.HTTPServerRawTest.test_content_length_list_whitespace":
        "expects other words in the log for a list as Content-Length, which is refused here too",
    "httpserver_test.HTTPServerRawTest.test_invalid_methods": _METHOD,
    "httpserver_test.KeepAliveTest.test_keepalive_chunked":
        "sends Transfer-Encoding in HTTP/1.0, whose framing is faulty (RFC 9112, section 6.1)",
    "simple_httpclient_test.SimpleHTTPClientCommonTestCase.test_all_methods": _METHOD,
    "web_test.PatchMethodTest.test_other": _METHOD,
    "web_test.UnimplementedNonStandardMethodsTest.test_unimplemented_other": _METHOD,
}  # fmt: skip
"""Tests that fail on the engine, and why."""

_FAILURE = re.compile(r"^(?:FAIL|ERROR): \S+ \(tornado\.test\.([\w.]+)\)", re.MULTILINE)
_COUNT = re.compile(r"^Ran (\d+) tests", re.MULTILINE)


@pytest.fixture(scope="module")
def suites() -> Iterator[dict[tuple[str, str], subprocess.Popen[str]]]:
    """All modules under way at once: they wait more than they work."""
    running = {
        (loop, module): start(loop, f"{module}_test")
        for loop, modules in MODULES.items()
        for module in modules
    }
    yield running
    for process in running.values():
        process.kill()
        process.communicate(timeout=TIMEOUT_S)


def start(loop: str, name: str) -> subprocess.Popen[str]:
    """Run a module or one test of it."""
    return subprocess.Popen(
        (sys.executable, "-m", "tests.tornado_runner", loop, f"tornado.test.{name}"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )


def passes(loop: str, name: str) -> bool:
    """Whether a test passes where nothing else runs of its module."""
    return not failures(start(loop, name))[0]


def failures(process: subprocess.Popen[str]) -> tuple[set[str], str]:
    """The tests that failed, and all that was printed."""
    output, _ = process.communicate(timeout=TIMEOUT_S)
    count = _COUNT.search(output)
    assert count, output[-4000:]
    assert int(count[1]) > 0
    return set(_FAILURE.findall(output)), output


@pytest.mark.parametrize(
    ("loop", "module"), [(loop, module) for loop, modules in MODULES.items() for module in modules]
)
def test_tornados_own_tests_pass_on_the_engine(
    suites: dict[tuple[str, str], subprocess.Popen[str]], loop: str, module: str
) -> None:
    excepted = {name for name in EXCEPTED if name.startswith(f"{module}_test.")}
    failed, output = failures(suites[loop, module])
    assert excepted <= failed, f"passes now: {sorted(excepted - failed)}"
    for name in sorted(failed - excepted):
        tries = 5 if _HURRIED in name else 1
        assert any(passes(loop, name) for _ in range(tries)), output[-4000:]
