"""`./run` as a new user meets it: a fresh clone, nothing prepared."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pytest

from benchmarks.ports import free_port
from tests.support import ROOT

NOBODY = 65534
INSTALL_TIMEOUT_S = 300


class Clone:
    """A clone of the checkout with its uncommitted changes, and its `./run`."""

    def __init__(self, folder: Path, source: Path = ROOT) -> None:
        self.folder = folder
        left_out = shutil.ignore_patterns(
            ".git", ".venv*", ".state", "*_cache", "__pycache__", ".coverage*"
        )
        shutil.copytree(source, folder, ignore=left_out)
        self.port = free_port()
        self.settings = {"PORT": str(self.port), "PLAN_PORT": "", "REDIS_MANAGED": "yes"}

    def copy_to(self, folder: Path) -> Clone:
        """Another clone with the same content."""
        return Clone(folder, self.folder)

    def run(
        self, *arguments: str, user: int | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `./run ARGUMENTS` from another folder, in an environment without this test's own."""
        inherited = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith(("COV", "PYTEST", "PYTHON", "VIRTUAL_ENV", "WINDLASS"))
        }
        return subprocess.run(
            (str(self.folder / "run"), *arguments),
            env=inherited | {"PYTHON": sys.executable} | self.settings | environ,
            cwd="/",
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
        )


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in a path with spaces, whose environment is made once for all tests here."""
    return Clone(tmp_path_factory.mktemp("new user") / "a clone")


@pytest.mark.timeout(INSTALL_TIMEOUT_S)
def test_fresh_clone_comes_up_serves_and_goes_down(clone: Clone) -> None:
    done = clone.run("up", "-d")
    try:
        assert done.returncode == 0, done.stderr
        assert "run: making .venv" in done.stderr
        assert f"http://localhost:{clone.port}/" in done.stdout
        assert httpx.get(f"http://127.0.0.1:{clone.port}/health").text == "OK\n"
    finally:
        down = clone.run("down")
    assert down.returncode == 0, down.stderr
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{clone.port}/health")


def test_environment_is_reused_until_its_lock_changes(clone: Clone) -> None:
    assert clone.run("--version").stderr == ""
    lock = clone.folder / "requirements.txt"
    before = lock.read_text()
    lock.write_text(before + "# changed\n")
    changed = clone.run("--version").stderr
    assert "run: installing" in changed
    assert "run: making .venv" not in changed, "a stack may be running from it"
    lock.write_text(before)
    assert clone.run("--version").returncode == 0


def test_half_made_environment_is_repaired(clone: Clone) -> None:
    stamp = clone.folder / ".venv" / "runtime.stamp"
    stamp.unlink()
    shutil.rmtree(next((clone.folder / ".venv" / "lib").iterdir()) / "site-packages" / "click")
    done = clone.run("--version")
    assert done.returncode == 0, done.stderr
    assert stamp.exists()


def test_package_whose_hash_is_not_the_locked_one_is_refused(clone: Clone, tmp_path: Path) -> None:
    tampered = clone.copy_to(tmp_path / "copy")
    lock = tampered.folder / "requirements.txt"
    lock.write_text(re.sub("sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", lock.read_text()))
    done = tampered.run("--version")
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not (tampered.folder / ".venv" / "runtime.stamp").exists()


def test_environment_that_is_there_already_is_used(clone: Clone, tmp_path: Path) -> None:
    other = clone.copy_to(tmp_path / "copy")
    init = other.folder / "app" / "__init__.py"
    init.write_text(re.sub(r'__version__ = ".*"', '__version__ = "9.8.7"', init.read_text()))
    done = other.run("--version", WINDLASS_PYTHON=sys.executable)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "windlass, version 9.8.7, commit Development\n"
    assert not (other.folder / ".venv").exists()


def test_no_new_enough_python_is_said_with_the_next_step(clone: Clone, tmp_path: Path) -> None:
    only = tmp_path / "bin"
    only.mkdir()
    for tool in ("sh", "dirname", "cat", "cksum", "grep", "flock", "rm", "readlink"):
        found = shutil.which(tool)
        assert found is not None
        (only / tool).symlink_to(found)
    old = only / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = clone.copy_to(tmp_path / "copy").run("up", PATH=str(only), PYTHON="")
    assert done.returncode == 1
    assert "Python 3.11 or newer was not found" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_ordinary_user_can_run_the_stack() -> None:
    with tempfile.TemporaryDirectory(prefix="windlass-test-") as parent:
        Path(parent).chmod(0o755)
        clone = Clone(Path(parent) / "clone")
        for path in [clone.folder, *clone.folder.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
        # The Python of these tests may be in a folder that only root can enter.
        done = clone.run("up", "-d", user=NOBODY, HOME=parent, PYTHON="")
        try:
            assert done.returncode == 0, done.stderr
            assert httpx.get(f"http://127.0.0.1:{clone.port}/ready").status_code == 200
        finally:
            down = clone.run("down", user=NOBODY, HOME=parent, PYTHON="")
        assert down.returncode == 0, down.stderr
