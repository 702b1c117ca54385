"""Every page as Mozilla's HTTP Observatory grades it: header fields, policy, redirection, cookies.

`OBSERVATORY` is a folder in which `npm install @mdn/mdn-http-observatory` was run; without it, or
as an ordinary user (it asks ports 80 and 443), the test is skipped. docs/pages.md has the commands.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.nginx_front import make_certificate
from tests.support import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = os.environ.get("OBSERVATORY", "")
NODE = shutil.which("node") or ""
PACKAGE = Path(FOLDER) / "node_modules" / "@mdn" / "mdn-http-observatory"
ADDRESS = "127.0.0.77"
PAGES = ("/", "/calculator", "/productionplan", "/status", "/docs")

pytestmark = [
    pytest.mark.skipif(not FOLDER, reason="OBSERVATORY names no folder with the package"),
    pytest.mark.skipif(not NODE, reason="there is no node on PATH"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may listen on ports 80 and 443"),
]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """That of a stack which is up at the ports that the Observatory asks."""
    folder = tmp_path_factory.mktemp("observatory")
    certificate, key = make_certificate(folder, address=ADDRESS)
    stack = Stack(
        folder / "state",
        {
            "HOST": ADDRESS, "PORT": "80", "TLS_PORT": "443", "HTTP_REDIRECT": "yes",
            "TLS_CERTIFICATE": str(certificate), "TLS_KEY": str(key),
        },
    )  # fmt: skip
    stack.up()
    yield certificate
    stack.down()


def scan(page: str, certificate: Path) -> dict[str, Any]:
    """What the Observatory says of a page: the whole of it, and each of its tests."""
    # A list of public sites, which the package fetches when it is installed with its scripts.
    preloaded = PACKAGE / "conf" / "hsts-preload.json"
    if not preloaded.exists():
        preloaded.write_text("{}")
    done = subprocess.run(
        (NODE, str(PACKAGE / "src" / "scan.js"), ADDRESS + page),
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(certificate)},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_page_is_graded_a_plus(certificate: Path, page: str) -> None:
    found = scan(page, certificate)
    failed = [name for name, test in found["tests"].items() if not test["pass"]]
    assert failed == []
    assert (found["scan"]["grade"], found["scan"]["statusCode"]) == ("A+", 200)
    redirected = found["tests"]["redirection"]["route"]
    assert redirected == [f"http://{ADDRESS}{page}", f"https://{ADDRESS}{page}"]
