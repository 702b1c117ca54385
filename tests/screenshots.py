"""Pictures of the pages for `docs/`: `./run python -m tests.screenshots http://localhost:8000`.

The pictures show whatever the service at that address says of itself, so give it some work before.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.browser import running, visit
from tests.support import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLDER = ROOT / "docs" / "pages"


@dataclass(frozen=True)
class Picture:
    """One page as somebody sees it."""

    name: str
    path: str
    size: tuple[int, int] = (1080, 760)
    scheme: str = "light"
    begin_at: str = ""


PICTURES = (
    Picture("home", "/", (1080, 560)),
    Picture(
        "calculator", "/calculator?expression=sqrt(2)*sqrt(8)/3&digits=28", (1080, 720), "dark"
    ),
    Picture("productionplan", "/productionplan", (1080, 1180), begin_at="#answer"),
    Picture("productionplan-narrow", "/productionplan", (320, 900), begin_at="#answer"),
    Picture("status", "/status", (1080, 1180)),
    Picture("status-dark", "/status", (1080, 760), "dark"),
    Picture("docs", "/docs", (1080, 820), begin_at="#post-productionplan"),
)


def main(address: str) -> None:
    """Take all pictures of the service at an address."""
    with running() as browser:
        for picture in PICTURES:
            width, height = picture.size
            options = {
                "viewport": {"width": width, "height": height}, "color_scheme": picture.scheme,
            }  # fmt: skip
            with visit(browser, **options) as seen:
                seen.open(address.rstrip("/") + picture.path)
                _bring_to_life(seen.page, picture)
                seen.page.screenshot(path=FOLDER / f"{picture.name}.png")


def _bring_to_life(page: Page, picture: Picture) -> None:
    if picture.path == "/productionplan":
        page.get_by_role("button", name="Compute the plan").click()
        page.get_by_role("img", name=re.compile("Merit order")).wait_for()
    if picture.path == "/status":
        page.locator(".plot canvas").first.wait_for()
    if picture.begin_at:
        page.locator(picture.begin_at).first.evaluate("at => at.scrollIntoView({block: 'start'})")


if __name__ == "__main__":
    main(sys.argv[1])
