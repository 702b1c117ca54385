"""Whether this Python's packages are within the ranges of a `pyproject.toml`: `contract.py FILE`.

Prints each dependency with its range and the version that is there; exit code 1 when one is
missing or out of its range. What only an extra asks for may be missing.
"""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement


def main(file: Path) -> int:
    """Compare; returns the exit code."""
    project = tomllib.loads(file.read_text())["project"]
    extras = [name for names in project.get("optional-dependencies", {}).values() for name in names]
    broken = 0
    for text in dict.fromkeys([*project["dependencies"], *extras]):
        requirement = Requirement(text)
        found = _version(requirement.name)
        if found is None and text not in project["dependencies"]:
            continue
        fits = found is not None and requirement.specifier.contains(found)
        broken += not fits
        print(f"{'ok' if fits else 'BROKEN':7}{requirement}: {found or 'not there'}")
    return int(broken > 0)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
