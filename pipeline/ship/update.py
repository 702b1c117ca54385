"""Newer locks, carried from the job that resolves them to the one that proposes them.

The first runs with no right to write; what it hands over is read as locks and nothing else, so that
nothing which an update brings can reach the repository in another way.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from nix import update as resolved
from pipeline.jobs import PipelineError

if TYPE_CHECKING:
    from pathlib import Path

LOCKS = (*resolved.LOCKS, "flake.lock")
BRANCH = "update-locks"
_LARGEST = 2_000_000
_GIT_TIMEOUT_S = 120


def save(root: Path, folder: Path) -> list[str]:
    """Copy the locks that differ from what is committed; returns their names."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = [name for name in LOCKS if (root / name).is_file() and _differs(root, name)]
    for name in changed:
        shutil.copy(root / name, folder / name)
    # An artifact must have a file, and the log of what changed is one to read.
    (folder / "changed.txt").write_text("".join(f"{name}\n" for name in changed))
    return changed


def take(folder: Path, root: Path) -> list[str]:
    """Put saved locks in their places; returns the names of those that differ.

    Raises:
        PipelineError: one is no plain file, or too large to be a lock.
    """
    for name in LOCKS:
        file = folder / name
        if file.is_symlink() or (file.exists() and not file.is_file()):
            raise PipelineError(f"{file} is no file")
        if file.is_file():
            if file.stat().st_size > _LARGEST:
                raise PipelineError(f"{file} is too large to be a lock")
            (root / name).write_bytes(file.read_bytes())
    return [name for name in LOCKS if (root / name).is_file() and _differs(root, name)]


def push(root: Path, names: list[str], remote: str, title: str) -> None:
    """Commit the locks on a branch of their own and push it over what it was.

    Args:
        root: of the checkout.
        names: of the locks.
        remote: address that takes the push; may hold a token, and is never shown.
        title: of the commit.
    """
    who = ("-c", "user.name=windlass", "-c", "user.email=windlass@users.noreply.github.com")
    git(root, "switch", "--force-create", BRANCH)
    git(root, "add", "--", *names)
    git(root, *who, "commit", "--quiet", "--no-gpg-sign", "--message", title)
    git(root, "push", "--quiet", "--force", remote, f"HEAD:refs/heads/{BRANCH}", secret=remote)


def git(root: Path, *words: str, secret: str = "") -> str:
    """Run git in the checkout and return what it prints.

    Raises:
        PipelineError: it fails; its words without the secret.
    """
    command = ("git", "-c", f"safe.directory={root}", "-C", str(root), *words)
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=_GIT_TIMEOUT_S
    )
    if done.returncode:
        said = done.stderr.strip()
        shown = " ".join(words)
        if secret:
            said, shown = said.replace(secret, "REMOTE"), shown.replace(secret, "REMOTE")
        raise PipelineError(f"git {shown}: {said}")
    return done.stdout.strip()


def _differs(root: Path, name: str) -> bool:
    return bool(git(root, "status", "--porcelain", "--", name))
