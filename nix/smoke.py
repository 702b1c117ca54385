"""Smoke tests of a service that runs: `smoke.py URL RELEASE_JSON`. Standard library only.

Asks for each kind of answer that the service has and compares what matters of it; ends at the first
that is wrong, with the answer. The page's counter must be at the first visit, unless the service is
in use by others (`--in-use`).
"""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from pathlib import Path
from typing import Any

_TIMEOUT_S = 10


def main(url: str, release: dict[str, Any], *, in_use: bool = False) -> None:
    """Ask; raises `AssertionError` at the first wrong answer."""
    _expect("plain text at /", _get(url + "/"), b"Hello World!\n")
    _expect("/health", _get(url + "/health"), b"OK\n")
    metadata = json.loads(_get(url + "/metadata"))
    _expect("version", metadata["version"], release["version"])
    _expect("commit", metadata["last_commit_sha"], release["commit"])
    page = _get(url + "/", Accept="text/html").decode()
    visits = re.search(r"Counter: (\d+)<", page)
    _expect("the page has its counter", visits is not None, wanted=True)
    if not in_use:
        _expect("the counter of the page", visits and visits[1], "1")
    stylesheet = page.split('rel="stylesheet" href="')[1].split('"')[0]
    packed = _get(url + stylesheet, **{"Accept-Encoding": "gzip"})
    _expect("the stylesheet is sent packed", packed[:2], b"\x1f\x8b")
    third = json.loads(_get(url + "/calculator/divide?a=1&b=3"))
    _expect("1/3", "1/3" in json.dumps(third), wanted=True)
    print(f"smoke tests passed: {url}, {release['release']}")


def _get(url: str, **headers: str) -> bytes:
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the URL is the caller's
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
        body: bytes = answer.read()
    return body


def _expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise AssertionError(f"{what}: expected {wanted!r}, found {found!r}")


if __name__ == "__main__":
    main(sys.argv[1], json.loads(Path(sys.argv[2]).read_text()), in_use="--in-use" in sys.argv[3:])
