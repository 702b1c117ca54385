"""Releases for a site: copies of this checkout, sound or broken on purpose.

A fault is a change of one file. Where the text that it changes is no longer there, `make` says so
rather than make a release that is sound.
"""

from __future__ import annotations

import compileall
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_NAMES = ("app", "nginx", "supervisord.conf", "requirements-binaries.txt")


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one file.

    Attributes:
        file: below the release; made where there is none.
        old: text that is replaced; empty: `new` is appended.
    """

    file: str
    new: str
    old: str = ""


def make(folder: Path, *changes: Change) -> Path:
    """Copy the checkout into a new folder, with a `bin/windlass` as an installed release has.

    Raises:
        ValueError: a change finds nothing to change.
    """
    for name in _NAMES:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    for change in changes:
        file = folder / change.file
        text = file.read_text() if file.exists() else ""
        if change.old not in text:
            raise ValueError(f"{change.file} no longer has {change.old!r}; mend the fault's change")
        file.write_text(
            text.replace(change.old, change.new, 1) if change.old else text + change.new
        )
    # As in an installed release; where a change is no Python, its start will tell.
    compileall.compile_dir(folder / "app", quiet=2)
    program = folder / "bin" / "windlass"
    program.parent.mkdir()
    words = (f"PYTHONPATH={folder}", sys.executable, "-m", "app")
    program.write_text(f'#!/bin/sh\nexec env {shlex.join(words)} "$@"\n')
    program.chmod(0o755)
    return folder
