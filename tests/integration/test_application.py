"""Another service on this runtime: the template of `nix flake init`, named by APPLICATION."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.support import ROOT, Stack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEMPLATE = ROOT / "nix" / "template"


def test_template_serves_its_own_routes_and_nothing_of_ours(
    make_stack: Callable[..., Stack],
) -> None:
    release = {"name": "hello", "version": "0.1.0", "commit": "c" * 40, "description": "Greets"}
    stack = make_stack(APPLICATION="hello.application", WINDLASS_RELEASE=json.dumps(release))
    stack.settings["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(TEMPLATE)])
    stack.up()
    assert stack.get("/").text == "Hello, visitor 1!\n"
    assert stack.get("/").text == "Hello, visitor 2!\n"
    assert stack.get("/health").text == "OK\n"
    metadata = stack.get("/metadata").json()
    assert (metadata["app_name"], metadata["version"]) == ("hello", "0.1.0")
    assert metadata["last_commit_sha"] == "c" * 40
    assert (metadata["description"], metadata["release"]) == ("Greets", "0.1.0-ccccccc")
    missing = stack.get("/calculator", headers={"Accept": "text/html"})
    assert missing.status_code == 404
    assert "<title>Not Found · Hello</title>" in missing.text
    assert "Windlass" not in missing.text
    assert 'href="/status"' in missing.text
    assert 'href="/productionplan"' not in missing.text
    assert stack.post("/productionplan", json={}).status_code == 404


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_module.application", "There is no Python module no_such_module.application"),
        ("app.errors", "app.errors of APPLICATION has no make_application()"),
        ("not a name", "the name of a Python module"),
    ],
)
def test_application_that_is_none_is_refused_before_anything_starts(
    make_stack: Callable[..., Stack], tmp_path: Path, name: str, words: str
) -> None:
    stack = make_stack(APPLICATION=name)
    done = stack.run("up", "-d")
    assert done.returncode in {1, 78}
    assert words in done.stderr
    assert not stack.is_up()
