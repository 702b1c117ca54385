"""A revision's environment from Nix: the closure of its own development shell.

In `nix develop` the interpreter stands in Nix's store. A revision whose Nix files are those of this
checkout runs by the same one; for another the shell is built from its own flake, and names its
interpreter and the folders of its Nginx and Redis. So what a change of `flake.lock` makes slower is
measured like any other change.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

_STORE = Path("/nix/store")
_SOURCES = ("flake.nix", "flake.lock", "nix", "pyproject.toml")
_BUILD_TIMEOUT_S = 1800
_PROGRAM = (
    "import json, os, sys; "
    "print(json.dumps({'python': sys.executable, 'search_path': os.environ['PATH']}))"
)


class ClosureError(Exception):
    """A shell could not be built; carries the last that Nix said."""


class Closure(msgspec.Struct, frozen=True):
    """What a revision runs with.

    Attributes:
        python: its interpreter.
        search_path: folders of its programs, as in PATH.
    """

    python: str
    search_path: str


def are_used(python: Path) -> bool:
    """Whether an interpreter is Nix's."""
    return python.resolve().is_relative_to(_STORE)


def are_equal(tree: Path, other: Path) -> bool:
    """Whether two checkouts have the same environment by their Nix files."""
    return _sources(tree) == _sources(other)


def argv(nix: Sequence[str], tree: Path) -> tuple[str, ...]:
    """The command that builds a checkout's shell and prints what it has.

    Args:
        nix: what runs Nix, such as "nix".
        tree: the checkout; every file of it is the flake's, whatever git says.
    """
    enabled = ("--extra-experimental-features", "nix-command flakes")
    return (*nix, *enabled, "develop", f"path:{tree}", "--command", "python", "-c", _PROGRAM)


def build(nix: Sequence[str], tree: Path) -> Closure:
    """Build the shell of a checkout.

    Raises:
        ClosureError: Nix fails, takes too long, or is not there.
    """
    try:
        done = subprocess.run(
            argv(nix, tree), cwd=tree, capture_output=True, text=True, check=True,
            timeout=_BUILD_TIMEOUT_S, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return msgspec.json.decode(done.stdout.strip().splitlines()[-1], type=Closure)
    except (OSError, subprocess.SubprocessError, IndexError, msgspec.DecodeError) as error:
        said = (getattr(error, "stderr", None) or "").strip()[-1000:]
        raise ClosureError(f"{error}\n{said}".strip()) from error


def _sources(tree: Path) -> dict[str, bytes]:
    files = [
        file
        for name in _SOURCES
        for file in sorted([tree / name, *(tree / name).rglob("*")])
        if file.is_file() and "__pycache__" not in file.parts
    ]
    return {str(file.relative_to(tree)): file.read_bytes() for file in files}
