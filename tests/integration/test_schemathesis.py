"""The whole API, through Nginx, against what its own OpenAPI document says of it.

Schemathesis makes the requests from the document, right ones and wrong ones, and applies all its
checks to the answers. `SCHEMATHESIS_MINUTES=20` makes it try for so long, from a random seed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support import ROOT, Stack

if TYPE_CHECKING:
    from pathlib import Path

MINUTES = float(os.environ.get("SCHEMATHESIS_MINUTES", "0"))
SHORT_S = 20
# A stream has no end to wait for; `test_pages.py` reads it as a browser does.
UNENDING = "/status/events"


@pytest.mark.timeout(MINUTES * 60 + 120)
def test_answers_are_those_of_the_document(service: Stack, tmp_path: Path) -> None:
    pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    seconds = int(MINUTES * 60) or SHORT_S
    command = [
        sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()",
        "--config-file", str(ROOT / "tests" / "schemathesis.toml"),
        "run", service.url + "/openapi.json",
        "--checks", "all",
        "--exclude-path", UNENDING,
        "--max-time", str(seconds),
        "--continue-on-failure",
        "--request-timeout", "20",
    ]  # fmt: skip
    if MINUTES:
        command += ["--generation-database", "none"]
    else:
        command += ["--generation-deterministic", "--max-examples", "20", "--no-shrink"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=seconds + 90, check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    print(done.stdout)  # noqa: T201 - how many examples there were
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Test cases" in done.stdout
    assert service.get("/health").status_code == 200
