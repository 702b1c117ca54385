"""The wheel: what `pip install` puts on a machine runs without a checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

from app import __version__
from tests.support import ROOT, Stack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_installed_package_runs_the_stack(make_stack: Callable[..., Stack], tmp_path: Path) -> None:
    subprocess.run(
        (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)),
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"windlass-{__version__}-py3-none-any.whl"
    installed = tmp_path / "site-packages"
    zipfile.ZipFile(wheel).extractall(installed)
    names = {path.name for path in installed.iterdir()}
    assert names == {"app", f"windlass-{__version__}.dist-info"}, "no tests, no stray files"
    entry_points = installed / f"windlass-{__version__}.dist-info" / "entry_points.txt"
    assert "windlass = app.cli:main" in entry_points.read_text()
    stack = make_stack()
    stack.root = installed
    stack.up()
    assert stack.counter() == 1
    assert stack.get("/metadata").json()["last_commit_sha"] == "Development"
