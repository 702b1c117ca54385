"""What a build says of itself: from release.json, from git, or as a plain checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from app import __version__
from app.identity import Identity, identify
from app.release.host.site import Site

if TYPE_CHECKING:
    from pathlib import Path

GIT = shutil.which("git") or ""
COMMIT = "0123456789abcdef0123456789abcdef01234567"
needs_git = pytest.mark.skipif(not GIT, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        (GIT, "-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main",
         "-C", str(folder), *arguments),
        capture_output=True, text=True, check=True, timeout=30, env=environ,
    )  # fmt: skip
    return done.stdout.strip()


def make_repository(folder: Path, message: str = "first") -> str:
    folder.mkdir(exist_ok=True)
    git(folder, "init", "--quiet")
    git(folder, "commit", "--quiet", "--allow-empty", "--no-gpg-sign", "--message", message)
    return git(folder, "rev-parse", "HEAD")


def unbuilt(commit: str) -> Identity:
    return Identity(__version__, commit, "checkout")


# ---- a built release


def test_release_file_names_version_commit_and_release(tmp_path: Path) -> None:
    (tmp_path / "release.json").write_text(json.dumps({"version": "1.2.3", "commit": COMMIT}))
    assert identify(tmp_path) == Identity("1.2.3", COMMIT, "1.2.3-0123456")


@pytest.mark.parametrize("release", [{}, {"release": "1.2.3-development"}])
def test_a_host_calls_a_release_as_the_service_does(
    tmp_path: Path, release: dict[str, str]
) -> None:
    file = {"version": "1.2.3", "commit": COMMIT, **release}
    (tmp_path / "release.json").write_text(json.dumps(file))
    host = Site(tmp_path / "base", tmp_path)
    assert host.release_file(str(tmp_path)).name == identify(tmp_path).release


def test_release_file_names_the_service(tmp_path: Path) -> None:
    file = {"version": "1.2.3", "commit": COMMIT, "name": "hello", "description": "Greets"}
    (tmp_path / "release.json").write_text(json.dumps(file))
    found = identify(tmp_path)
    assert (found.name, found.description) == ("hello", "Greets")


@needs_git
def test_release_file_wins_over_git(tmp_path: Path) -> None:
    make_repository(tmp_path)
    (tmp_path / "release.json").write_text(json.dumps({"version": "1.2.3", "commit": COMMIT}))
    assert identify(tmp_path).commit == COMMIT


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": "1"}', '{"version":1,"commit":"a"}'])
def test_release_file_that_is_broken_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "release.json").write_text(text)
    assert identify(tmp_path) == unbuilt("Development")


def test_release_names_itself_to_the_code_that_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "release.json").write_text(json.dumps({"version": "1.2.3", "commit": COMMIT}))
    said = {"version": "2.0.0", "commit": "Development", "release": "2.0.0-development", "time": ""}
    monkeypatch.setenv("WINDLASS_RELEASE", json.dumps(said))
    assert identify(tmp_path) == Identity("2.0.0", "Development", "2.0.0-development")


def test_release_that_names_itself_wrongly_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINDLASS_RELEASE", "/nix/store/x/release.json")
    assert identify(tmp_path) == unbuilt("Development")


# ---- a checkout


def test_folder_without_anything_is_development(tmp_path: Path) -> None:
    assert identify(tmp_path) == unbuilt("Development")


@needs_git
def test_checkout_has_the_full_hash_of_its_commit(tmp_path: Path) -> None:
    commit = make_repository(tmp_path / "a b")
    assert len(commit) == 40
    assert identify(tmp_path / "a b") == unbuilt(commit)


@needs_git
def test_new_commit_is_seen(tmp_path: Path) -> None:
    first = make_repository(tmp_path)
    second = make_repository(tmp_path, "second")
    assert first != second
    assert identify(tmp_path).commit == second


@needs_git
def test_linked_worktree_is_a_checkout(tmp_path: Path) -> None:
    commit = make_repository(tmp_path / "main")
    git(tmp_path / "main", "worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
    assert (tmp_path / "linked" / ".git").is_file()
    assert identify(tmp_path / "linked").commit == commit


@needs_git
def test_repository_without_a_commit_is_development(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert identify(tmp_path) == unbuilt("Development")


@needs_git
def test_folder_inside_somebodys_repository_does_not_report_their_commit(tmp_path: Path) -> None:
    make_repository(tmp_path)
    inside = tmp_path / "venv" / "lib"
    inside.mkdir(parents=True)
    assert identify(inside) == unbuilt("Development")


@needs_git
def test_hook_of_another_repository_does_not_lead_git_astray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = make_repository(tmp_path / "ours")
    theirs = make_repository(tmp_path / "theirs", "theirs")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "theirs" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "theirs"))
    assert ours != theirs
    assert identify(tmp_path / "ours").commit == ours


@needs_git
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_checkout_of_another_user_still_has_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = make_repository(tmp_path / "theirs")
    for path in ((tmp_path / "theirs"), *(tmp_path / "theirs").rglob("*")):
        os.chown(path, 65534, 65534)
    monkeypatch.setenv("HOME", str(tmp_path))  # no safe.directory of ours
    assert identify(tmp_path / "theirs").commit == commit


@needs_git
def test_machine_without_git_is_development(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_repository(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert identify(tmp_path) == unbuilt("Development")
