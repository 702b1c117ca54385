"""What others made is as it came, with its licence; pages ask no other host for anything."""

from __future__ import annotations

import hashlib
import re
import tomllib

import pytest

from app.web.application import FOLDER, STATIC_FOLDER
from app.web.assets import Assets

VENDORED = FOLDER / "vendored"
FILES = tomllib.loads((VENDORED / "manifest.toml").read_text())["file"]
OURS = {"favicon.svg", "windlass.css", "forms.js", "status.js", "docs.js"}


@pytest.mark.parametrize("entry", FILES, ids=lambda entry: str(entry["name"]))
def test_vendored_file_is_what_the_manifest_says(entry: dict[str, str]) -> None:
    content = (STATIC_FOLDER / entry["name"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    assert "ermission is hereby granted" in (licence := (VENDORED / entry["licence"]).read_text()) \
        or "SIL Open Font License" in licence  # fmt: skip
    assert re.fullmatch(r"(@[\w-]+/)?[\w-]+ \d+\.\d+\.\d+", entry["package"])


def test_every_static_file_is_ours_or_in_the_manifest() -> None:
    there = {path.name for path in STATIC_FOLDER.iterdir() if path.suffix != ".gz"}
    assert there == OURS | {entry["name"] for entry in FILES}


def test_stylesheet_names_the_typeface_by_its_content() -> None:
    address = Assets(STATIC_FOLDER).address("figtree.woff2")
    style = (STATIC_FOLDER / "windlass.css").read_text()
    assert re.findall(r'url\("([^"]+)"\)', style) == [address.removeprefix("/static/")]


@pytest.mark.parametrize("name", sorted(path.name for path in (FOLDER / "templates").iterdir()))
def test_templates_have_nothing_that_the_policy_forbids(name: str) -> None:
    text = (FOLDER / "templates" / name).read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|https?://", text)
