"""Static files under names that carry a hash of their content."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from app.web.application import STATIC_FOLDER
from app.web.assets import Assets

if TYPE_CHECKING:
    from pathlib import Path


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def test_address_carries_the_hash_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_bytes(b"body {}")
    assets = Assets(tmp_path)
    hashed = f"a.{digest(b'body {}')}.css"
    assert assets.address("a.css") == f"/static/{hashed}"
    assert assets.files == {hashed: tmp_path / "a.css"}


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("a.min.js", "a.min", ".js"), ("LICENSE", "LICENSE", ""), ("a b.svg", "a b", ".svg")],
)
def test_hash_stands_before_the_suffix(tmp_path: Path, name: str, before: str, after: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    assert Assets(tmp_path).address(name) == f"/static/{before}.{digest(b'x')}{after}"


def test_address_changes_exactly_with_the_content(tmp_path: Path) -> None:
    file = tmp_path / "a.css"
    file.write_bytes(b"one")
    first = Assets(tmp_path).address("a.css")
    file.touch()
    assert Assets(tmp_path).address("a.css") == first
    file.write_bytes(b"two")
    assert Assets(tmp_path).address("a.css") != first


def test_files_of_the_same_content_keep_their_own_names(tmp_path: Path) -> None:
    for name in ("a.css", "b.css"):
        (tmp_path / name).write_bytes(b"same")
    assets = Assets(tmp_path)
    assert assets.address("a.css") != assets.address("b.css")
    assert len(assets.files) == 2


def test_file_packed_at_the_build_is_no_file_of_its_own(tmp_path: Path) -> None:
    for name in ("a.css", "a.css.gz", "data.gz"):
        (tmp_path / name).write_bytes(b"x")
    found = {path.name for path in Assets(tmp_path).files.values()}
    assert found == {"a.css", "data.gz"}


def test_name_that_is_not_there_is_a_key_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        Assets(tmp_path).address("a.css")


def test_subfolders_are_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / "fonts").mkdir()
    (tmp_path / "fonts" / "a.woff2").write_bytes(b"x")
    (tmp_path / "a.css").write_bytes(b"x")
    assert list(Assets(tmp_path).files.values()) == [tmp_path / "a.css"]


def test_pages_find_their_own_stylesheet_and_icon() -> None:
    assets = Assets(STATIC_FOLDER)
    for name in ("windlass.css", "favicon.svg"):
        assert assets.files[assets.address(name).removeprefix("/static/")] == STATIC_FOLDER / name
