"""The flake: every file parses, and with Nix at hand, what it makes.

Nix is `nix` on PATH, or the command in `WINDLASS_NIX`; `NIXPKGS` is a tree of nixpkgs that takes
the place of the locked one where that cannot be fetched. With `WINDLASS_NIX` nothing is skipped.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from nix import update
from tests.support import ROOT

if TYPE_CHECKING:
    from pathlib import Path

NIX = update.nix_command()
GIVEN = bool(os.environ.get("WINDLASS_NIX"))
NIXPKGS = os.environ.get("NIXPKGS")
FILES = sorted([ROOT / "flake.nix", *(ROOT / "nix").rglob("*.nix")])
SYSTEMS = ("x86_64-linux", "aarch64-linux")
EVALUATION_TIMEOUT_S = 600

GIT = shutil.which("git") or ""
PARSER = shutil.which("nix-instantiate") or ""

needs_parser = pytest.mark.skipif(not PARSER, reason="nix-instantiate is not installed")
needs_nix = pytest.mark.skipif(
    NIX is None or not GIT, reason="needs Nix and git; WINDLASS_NIX may say how Nix is run"
)


# ---- without Nix


@needs_parser
@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_file_parses(file: Path) -> None:
    done = subprocess.run(
        (PARSER, "--parse", str(file)),
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_flake_has_one_input_locked_to_a_revision_of_a_release() -> None:
    lock = json.loads((ROOT / "flake.lock").read_text())
    assert set(lock["nodes"]) == {"root", "nixpkgs"}
    nixpkgs = lock["nodes"]["nixpkgs"]
    assert re.fullmatch(r"[0-9a-f]{40}", nixpkgs["locked"]["rev"])
    ref = nixpkgs["original"]["ref"]
    assert f"nixpkgs/{ref}" in (ROOT / "flake.nix").read_text()


# ---- with Nix


class Clone:
    """A git repository with this checkout's files, which a test may change and commit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._days = 0
        listed = subprocess.run(
            (GIT, "ls-files", "--cached", "--others", "--exclude-standard"),
            cwd=ROOT, capture_output=True, text=True, check=True, timeout=30,
        )  # fmt: skip
        for name in listed.stdout.splitlines():
            if (ROOT / name).is_file():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, target)
        self.git("init", "--quiet")
        self.commit("first")

    def git(self, *arguments: str, **environ: str) -> None:
        subprocess.run(
            (GIT, "-c", "user.name=t", "-c", "user.email=t@t", *arguments),
            cwd=self.folder, check=True, capture_output=True, timeout=60,
            env=os.environ | environ,
        )  # fmt: skip

    def commit(self, message: str) -> None:
        # Each a day after the one before: where nixpkgs is overridden, a flake does not know its
        # commit, and the time is all that tells two of them apart.
        self._days += 1
        self.git("add", "--all")
        self.git(
            "commit", "--quiet", "--allow-empty", "--no-gpg-sign", "--message", message,
            GIT_COMMITTER_DATE=f"2026-01-{self._days:02}T00:00:00Z",
        )  # fmt: skip

    def evaluate(self, attribute: str, expression: str) -> Any:  # noqa: ANN401
        """What Nix makes of one attribute of the flake, by a function of it."""
        assert NIX is not None
        tree = () if GIVEN else ("--override-input", "nixpkgs", f"path:{NIXPKGS}")
        done = subprocess.run(
            (*NIX, "eval", *tree, "--json", f".#{attribute}",
             "--apply", expression),
            cwd=self.folder, capture_output=True, text=True, check=False,
            timeout=EVALUATION_TIMEOUT_S,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def why_no_nixpkgs() -> str:
    """Why the locked nixpkgs cannot be had; asked only where nobody said how Nix is run."""
    if GIVEN or NIXPKGS:
        return ""
    assert NIX is not None
    locked = json.loads((ROOT / "flake.lock").read_text())["nodes"]["nixpkgs"]["locked"]
    address = f"github:{locked['owner']}/{locked['repo']}/{locked['rev']}"
    quick = ("--option", "download-attempts", "1", "--option", "connect-timeout", "10")
    done = subprocess.run(
        (*NIX, *quick, "flake", "prefetch", address),
        capture_output=True, text=True, check=False, timeout=EVALUATION_TIMEOUT_S,
    )  # fmt: skip
    reason = "nixpkgs cannot be fetched, and NIXPKGS names no tree of it: "
    return reason + done.stderr.strip().rpartition("\n")[2] if done.returncode else ""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    if reason := why_no_nixpkgs():
        pytest.skip(reason)
    return Clone(tmp_path_factory.mktemp("flake"))


def names_of(clone: Clone, system: str) -> dict[str, object]:
    """The store paths of what a commit should leave alone, and of what carries its name."""
    found: dict[str, object] = clone.evaluate(
        f"packages.{system}",
        "p: { app = p.app.outPath; runtime = p.runtime.outPath; "
        # The one layer that is no store path: the folders, and the user's name.
        'layer = builtins.filter (n: builtins.match ".*customisation-layer.drv" n != null) '
        "(builtins.attrNames (builtins.getContext p.image.conf.buildCommand)); "
        "release = p.release.outPath; image = p.image.outPath; }",
    )
    return found


@needs_nix
@pytest.mark.timeout(EVALUATION_TIMEOUT_S)
@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("outputs", ["packages", "checks", "devShells"])
def test_everything_evaluates(clone: Clone, system: str, outputs: str) -> None:
    found = clone.evaluate(f"{outputs}.{system}", "builtins.mapAttrs (_: p: p.drvPath)")
    assert found
    assert all(path.endswith(".drv") for path in found.values())


@needs_nix
@pytest.mark.timeout(EVALUATION_TIMEOUT_S)
def test_commit_that_changes_no_code_leaves_all_but_the_leaf_alone(clone: Clone) -> None:
    before = names_of(clone, SYSTEMS[0])
    clone.commit("nothing")
    readme = clone.folder / "README.md"
    readme.write_text(readme.read_text() + "\nOne more line.\n")
    clone.commit("README")
    after = names_of(clone, SYSTEMS[0])
    same = {name for name in before if before[name] == after[name]}
    assert same == {"app", "runtime", "layer"}, "and the commit's name is in the others"


@needs_nix
@pytest.mark.timeout(EVALUATION_TIMEOUT_S)
def test_change_of_code_changes_everything(clone: Clone) -> None:
    before = names_of(clone, SYSTEMS[0])
    module = clone.folder / "app" / "prctl.py"
    module.write_text(module.read_text() + "\n# One more line.\n")
    clone.commit("code")
    after = names_of(clone, SYSTEMS[0])
    assert {name for name in before if before[name] == after[name]} == {"layer"}
