"""The ranges of `pyproject.toml` are a contract: the locked requirements satisfy it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement

from nix import update
from tests.support import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKED = {name.lower(): text for name, text in update.pinned(
    (ROOT / "requirements.txt").read_text()).items()}  # fmt: skip


@pytest.mark.parametrize("text", PROJECT["dependencies"])
def test_locked_version_is_within_the_range(text: str) -> None:
    wanted = Requirement(text)
    assert wanted.specifier.contains(LOCKED[wanted.name])
    assert any(bound.operator == "<" for bound in wanted.specifier), "a range has an end"


def contract(
    tmp_path: Path, *dependencies: str, extra: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "pyproject.toml"
    file.write_text(
        f"[project]\nname = 'x'\ndependencies = {list(dependencies)!r}\n"
        f"[project.optional-dependencies]\nmore = {list(extra)!r}\n"
    )
    return subprocess.run(
        (sys.executable, str(ROOT / "nix" / "contract.py"), str(file)),
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip


def test_contract_holds_for_what_is_installed() -> None:
    done = subprocess.run(
        (sys.executable, str(ROOT / "nix" / "contract.py"), str(ROOT / "pyproject.toml")),
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    named = {Requirement(line.split()[1].rstrip(":")).name for line in done.stdout.splitlines()}
    assert named >= {Requirement(text).name for text in PROJECT["dependencies"]}


def test_contract_names_what_is_out_of_its_range_or_missing(tmp_path: Path) -> None:
    done = contract(tmp_path, "tornado>=99", "no-such-package>=1", "redis>=1")
    assert done.returncode == 1
    states = {line.split()[1].split(">")[0].rstrip(":"): line.split()[0]
              for line in done.stdout.splitlines()}  # fmt: skip
    assert states == {"tornado": "BROKEN", "no-such-package": "BROKEN", "redis": "ok"}


def test_contract_lets_an_extra_be_missing_but_not_out_of_its_range(tmp_path: Path) -> None:
    assert contract(tmp_path, "redis>=1", extra=("no-such-package>=1",)).returncode == 0
    done = contract(tmp_path, "redis>=1", extra=("pytest>=999",))
    assert done.returncode == 1
    assert "BROKEN pytest>=999" in done.stdout


# ---- an update, with programs that stand in for uv and Nix, as there may be no network

_UV = """import pathlib, sys
name = sys.argv[sys.argv.index("--output-file") + 1]
if (pathlib.Path("refuse").read_text() == name): sys.exit("no index")
assert sys.argv[sys.argv.index("--python-version") + 1] == "3.11"
pathlib.Path(name).write_text("tornado==7.0\\n")
"""
_NIX = """import pathlib, sys
if sys.argv[1] == "eval": sys.exit(print('{"nginx": "1"}'))
lock = pathlib.Path("flake.lock")
lock.write_text(lock.read_text().replace("1786711500", "1796711500"))
if pathlib.Path("refuse").read_text() == "flake.lock": sys.exit("no network")
"""


@pytest.fixture
def locks(tmp_path: Path) -> Path:
    """A checkout as far as an update looks at it."""
    (tmp_path / "nix").mkdir()
    shutil.copy(ROOT / "nix" / "update.py", tmp_path / "nix")
    # Whatever runs it: a lock is for the oldest Python that the project takes.
    (tmp_path / "pyproject.toml").write_text('[project]\nrequires-python = ">=3.11"\n')
    for name in update.LOCKS:
        (tmp_path / name).write_text("tornado==6.6.1\n")
    locked = {"lastModified": 1786711500, "rev": "02e08985a27c65ff"}
    lock = json.dumps({"nodes": {"nixpkgs": {"locked": locked}}})
    (tmp_path / "flake.lock").write_text(lock)
    (tmp_path / "uv.py").write_text(_UV)
    (tmp_path / "fake_nix.py").write_text(_NIX)
    return tmp_path


def run_update(locks: Path, refuse: str) -> subprocess.CompletedProcess[str]:
    (locks / "refuse").write_text(refuse)
    nix = shlex.join([sys.executable, str(locks / "fake_nix.py")])
    return subprocess.run(
        (sys.executable, str(locks / "nix" / "update.py")), env=os.environ | {"WINDLASS_NIX": nix},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("refuse", [*update.LOCKS, "flake.lock"])
def test_update_that_fails_leaves_every_lock_as_it_was(locks: Path, refuse: str) -> None:
    names = (*update.LOCKS, "flake.lock")
    before = {name: (locks / name).read_bytes() for name in names}
    done = run_update(locks, refuse)
    assert done.returncode == 1
    assert {name: (locks / name).read_bytes() for name in names} == before
    assert "failed with exit code 1" in done.stderr
    assert "every lock is as it was" in done.stderr
    assert "Traceback" not in done.stderr


def test_update_changes_every_lock_and_says_how(locks: Path) -> None:
    done = run_update(locks, "nothing")
    assert done.returncode == 0, done.stderr
    for name in update.LOCKS:
        assert (locks / name).read_text() == "tornado==7.0\n"
    changed = {line.split()[0] for line in done.stdout.splitlines() if "->" in line}
    assert changed == {*update.LOCKS, "flake.lock"}


# ---- what an update shows


def test_pins_are_read_whatever_follows_them() -> None:
    text = "anyio==4.16.0 \\\n    --hash=sha256:0==1\nidna==3.20 ; python_version < '4' \\\n"
    assert update.pinned(text) == {"anyio": "4.16.0", "idna": "3.20"}


def test_changes_are_shown_version_by_version() -> None:
    before = {
        "requirements.txt": {"tornado": "6.5.4", "redis": "8.0"},
        "nixpkgs": {"nginx": "1.28"},
    }
    after = {"requirements.txt": {"tornado": "6.6.1", "redis": "8.0", "new": "1"}}
    assert [line.split() for line in update.changes(before, after)] == [
        ["nixpkgs", "nginx", "1.28", "->", "(none)"],
        ["requirements.txt", "new", "(none)", "->", "1"],
        ["requirements.txt", "tornado", "6.5.4", "->", "6.6.1"],
    ]
    assert update.changes(after, after) == []


def test_locked_nixpkgs_is_shown_by_its_date() -> None:
    locked: dict[str, object] = {"lastModified": 1786711500, "rev": "02e08985a27c65ff"}
    lock = {"nodes": {"nixpkgs": {"locked": locked}}}
    assert update.locked_nixpkgs(lock) == {"nixpkgs": "2026-08-14 02e08985a27c"}
