"""The closure of a release as one file: a binary cache of Nix, packed.

A cache keeps the signatures of its paths. So a store takes them from anybody, as long as it trusts
a key that signed them, and whoever imports needs no right over the store.
"""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from app.release.argv import Argv

    Run = Callable[[Argv], object]

_NIX = ("nix", "--extra-experimental-features", "nix-command")


def to_cache(path: str, folder: Path) -> Argv:
    """Write a path and all that it needs to a binary cache."""
    return (*_NIX, "copy", "--to", f"file://{folder}?compression=zstd", path)


def from_cache(path: str, folder: Path, keys: Iterable[str]) -> Argv:
    """Take a path from a binary cache, as far as the keys or the store's own settings allow it."""
    # Of an untrusted user the daemon takes no key: there its own settings name them.
    trusted = ("--option", "extra-trusted-public-keys", " ".join(sorted(keys)))
    return (*_NIX, *trusted, "copy", "--from", f"file://{folder}", path)


def pack(path: str, file: Path, run: Run) -> None:
    """Write the closure of a path, with its signatures, to a file."""
    with tempfile.TemporaryDirectory(prefix="windlass-cache-") as folder:
        run(to_cache(path, Path(folder)))
        with tarfile.open(file, "w") as packed:
            packed.add(folder, ".")


def unpack(path: str, file: Path, keys: Iterable[str], run: Run) -> None:
    """Put the closure of a path, from a file, into this machine's store."""
    with tempfile.TemporaryDirectory(prefix="windlass-cache-") as folder:
        # Not tarfile: its filters, which keep files inside, are only in Python 3.11.4 and later.
        run(("tar", "--extract", "--no-same-owner", "--file", str(file), "--directory", folder))
        # Nix' daemon reads it as another user, where it reads it at all.
        Path(folder).chmod(0o755)
        run(from_cache(path, Path(folder), keys))
