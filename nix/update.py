"""`./run update`: brings both locks up to date and shows what changes, version by version.

The locked requirements are resolved anew within the ranges of `pyproject.toml`; where Nix is at
hand `flake.lock` goes to the newest nixpkgs of its branch. Neither is committed: `git diff` shows
all of it, `git checkout -- flake.lock requirements*.txt` takes it back.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {
    "requirements.txt": (),
    "requirements-otel.txt": ("--extra", "otel"),
    "requirements-dev.txt": ("--extra", "dev"),
}
_RESOLVE_TIMEOUT_S = 600
_NIX_TIMEOUT_S = 1800
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)

Versions = dict[str, dict[str, str]]
"""For each source of versions, the version of each name."""


def main(arguments: list[str]) -> int:
    """Update and show; returns the exit code."""
    parser = argparse.ArgumentParser(prog="./run update", description=__doc__.partition("\n")[0])
    parser.add_argument("--no-nix", action="store_true", help="leave flake.lock as it is")
    options = parser.parse_args(arguments)
    nix = None if options.no_nix else nix_command()
    before = versions(nix)
    for name, extra in LOCKS.items():
        print(f"update: resolving {name}", flush=True)
        resolve(name, extra)
    if nix:
        print("update: flake.lock", flush=True)
        subprocess.run((*nix, "flake", "update"), cwd=ROOT, check=True, timeout=_NIX_TIMEOUT_S)
    else:
        print("update: flake.lock stays as it is", flush=True)
    print("\n".join(changes(before, versions(nix))) or "nothing has changed")
    return 0


def nix_command() -> tuple[str, ...] | None:
    """The command that runs Nix: `WINDLASS_NIX`, or the one on PATH; None where there is none."""
    given = os.environ.get("WINDLASS_NIX")
    if given:
        return tuple(shlex.split(given))
    found = shutil.which("nix")
    return (found, "--extra-experimental-features", "nix-command flakes") if found else None


def resolve(name: str, extra: tuple[str, ...]) -> None:
    """Resolve one lock of requirements to the newest versions that pyproject.toml allows."""
    command = (
        sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal",
        "--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url", "--upgrade",
        "pyproject.toml", "--output-file", name, *extra,
    )  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True, timeout=_RESOLVE_TIMEOUT_S)


def versions(nix: tuple[str, ...] | None) -> Versions:
    """What the locks say now; what is in nixpkgs only where Nix can be asked."""
    found: Versions = {name: pinned((ROOT / name).read_text()) for name in LOCKS}
    found["flake.lock"] = locked_nixpkgs(json.loads((ROOT / "flake.lock").read_text()))
    if nix:
        command = (*nix, "eval", "--json", ".#release.versions")
        done = subprocess.run(
            command, cwd=ROOT, check=True, timeout=_NIX_TIMEOUT_S, stdout=subprocess.PIPE, text=True
        )
        found["nixpkgs"] = json.loads(done.stdout)
    return found


def pinned(text: str) -> dict[str, str]:
    """The versions that a lock of requirements pins."""
    return dict(_PINNED.findall(text))


def locked_nixpkgs(lock: dict[str, dict[str, dict[str, dict[str, object]]]]) -> dict[str, str]:
    """The date and the revision of nixpkgs in a `flake.lock`."""
    locked = lock["nodes"]["nixpkgs"]["locked"]
    made = datetime.fromtimestamp(int(str(locked["lastModified"])), UTC)
    return {"nixpkgs": f"{made:%Y-%m-%d} {str(locked['rev'])[:12]}"}


def changes(before: Versions, after: Versions) -> list[str]:
    """One line for each version that is another one now."""
    lines = []
    for source in sorted(before | after):
        old, new = before.get(source, {}), after.get(source, {})
        for name in sorted(old | new):
            was, now = old.get(name, "(none)"), new.get(name, "(none)")
            if was != now:
                lines.append(f"{source:22}{name:24}{was:14} -> {now}")
    return lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
