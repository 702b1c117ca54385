"""A real browser for tests: what a page asks for, says, weighs, and how accessible it is."""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, Response

DEADLINE_MS = 10_000
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation",
  (event) => window.violations.push(`${event.violatedDirective}: ${event.blockedURI}`));
"""


@dataclass
class Visit:
    """One page in a browser context of its own, and what went on in it.

    Attributes:
        hosts: that were asked for anything.
        complaints: errors on the console and uncaught ones.
        bytes: that came over the wire, headers included, since the page was opened.
    """

    page: Page
    hosts: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)
    bytes: int = 0
    _under_way: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        page = self.page
        page.set_default_timeout(DEADLINE_MS)
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda said: self.complaints.append(said.text) if said.type == "error" else None,
        )
        wire = page.context.new_cdp_session(page)
        wire.send("Network.enable")
        wire.on("Network.requestWillBeSent", self._begin)
        wire.on("Network.loadingFinished", self._end)
        wire.on("Network.loadingFailed", self._end)

    def _begin(self, event: dict[str, Any]) -> None:
        if event.get("type") != "EventSource":
            self._under_way.add(event["requestId"])

    def _end(self, event: dict[str, Any]) -> None:
        self._under_way.discard(event["requestId"])
        self.bytes += int(event.get("encodedDataLength", 0))

    def open(self, address: str) -> Response:
        """Go there and wait until all that the page is made of has come, its typeface included."""
        self.bytes = 0
        answer = self.page.goto(address, wait_until="load")
        assert answer is not None
        self.page.evaluate("document.fonts.ready.then(() => null)")
        deadline = time.monotonic() + DEADLINE_MS / 1000
        while self._under_way:
            assert time.monotonic() < deadline, "the page never comes to rest"
            self.page.evaluate("null")  # lets events in
        return answer

    def violations(self) -> list[str]:
        """Of the content security policy, so far."""
        found: list[str] = self.page.evaluate("window.violations")
        return found

    def inaccessible(self) -> list[str]:
        """What axe objects to: rule, and the elements."""
        self.page.evaluate(_axe())
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{rule['id']}: {json.dumps([node['target'] for node in rule['nodes']])}"
            for rule in found["violations"]
        ]

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        wider: int = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return wider


@cache
def _axe() -> str:
    package = resources.files("axe_playwright_python")
    return next(package.glob("**/axe.min.js")).read_text()  # type: ignore[attr-defined,no-any-return]


@contextmanager
def running() -> Iterator[Browser]:
    """A browser, or a skipped test where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip(f"there is no browser on PATH: {', '.join(_NAMES)}")
    # As root, as in a container, Chromium has no sandbox.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=options)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visit(browser: Browser, **options: Any) -> Iterator[Visit]:  # noqa: ANN401 - of a context
    """A page of its own; options are those of Playwright's `new_context`."""
    context = browser.new_context(**options)
    try:
        context.add_init_script(_WATCH)
        yield Visit(context.new_page())
    finally:
        context.close()
