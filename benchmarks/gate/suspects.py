"""Commits between base and head that touch what got slower."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.gate.git import GitError, git
from benchmarks.machine import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ENVIRONMENT = ("requirements.txt", "flake.lock", "nix")
"""What may make anything slower."""
_MOST = 8


def between(base: str, head: str, covers: Sequence[str], root: Path = ROOT) -> list[str]:
    """Commits that are in the head and not in the base, newest first: abbreviated hash and subject.

    Args:
        base: a commit.
        head: a commit.
        covers: files and folders; a commit that touches none of them is left out.
        root: of the checkout.

    Returns:
        At most `_MOST`, with a line that says how many more there are; none where git fails.
    """
    try:
        said = git(root, "log", "--no-merges", "--format=%h %s", f"{base}..{head}", "--", *covers)
    except GitError:
        return []
    lines = said.splitlines()
    more = [f"and {len(lines) - _MOST} more"] if len(lines) > _MOST else []
    return lines[:_MOST] + more
