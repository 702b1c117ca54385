"""`./run update`: brings both locks up to date and shows what changes, version by version.

The locked requirements are resolved anew within the ranges of `pyproject.toml`; where Nix is at
hand `flake.lock` goes to the newest nixpkgs of its branch. All of them, or none: when one cannot be
had, each is what it was. Nothing is committed: `git diff` shows all of it, `git checkout --
flake.lock requirements*.txt` takes it back.
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
import tomllib
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {
    "requirements.txt": ("pyproject.toml",),
    "requirements-otel.txt": ("pyproject.toml", "--extra", "otel"),
    "requirements-dev.txt": ("pyproject.toml", "--extra", "dev"),
    "requirements-security.txt": ("requirements-security.in",),
}
"""Each lock, and what it is resolved from."""
_SERVER = "x86_64-linux"
"""Whose versions of nixpkgs are shown: a desk may have none of the release."""
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
    try:
        with all_or_none():
            found = update(nix)
    except (OSError, subprocess.SubprocessError) as error:
        hint = "; ./run update --no-nix leaves flake.lock out" if nix else ""
        print(f"update: {reason(error)}\nupdate: every lock is as it was. It takes the network: "
              f"mend that and try again{hint}", file=sys.stderr)  # fmt: skip
        return 1
    print("\n".join(found) or "nothing has changed")
    return 0


def update(nix: tuple[str, ...] | None) -> list[str]:
    """Bring every lock up to date.

    Returns:
        a line for each version that changes.

    Raises:
        SubprocessError: a program failed or took too long.
    """
    before = versions(nix)
    for name, source in LOCKS.items():
        print(f"update: resolving {name}", flush=True)
        resolve(name, source)
    if nix:
        print("update: flake.lock", flush=True)
        subprocess.run((*nix, "flake", "update"), cwd=ROOT, check=True, timeout=_NIX_TIMEOUT_S)
    else:
        print("update: flake.lock stays as it is", flush=True)
    return changes(before, versions(nix))


@contextmanager
def all_or_none() -> Iterator[None]:
    """Put every lock back when the block does not come to its end, Ctrl-C too."""
    kept = {ROOT / name: (ROOT / name).read_bytes() for name in (*LOCKS, "flake.lock")}
    try:
        yield
    except BaseException:
        for file, content in kept.items():
            file.write_bytes(content)
        raise


def reason(error: Exception) -> str:
    """Which program failed, and how, in a line."""
    if isinstance(error, subprocess.CalledProcessError):
        return f"{shlex.join(error.cmd)} failed with exit code {error.returncode}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"{shlex.join(error.cmd)} took more than {error.timeout:g} s"
    return str(error)


def nix_command() -> tuple[str, ...] | None:
    """The command that runs Nix: `WINDLASS_NIX`, or the one on PATH; None where there is none."""
    given = os.environ.get("WINDLASS_NIX")
    if given:
        return tuple(shlex.split(given))
    found = shutil.which("nix")
    return (found, "--extra-experimental-features", "nix-command flakes") if found else None


def resolve(name: str, source: tuple[str, ...]) -> None:
    """Resolve one lock of requirements to the newest versions that its source allows."""
    command = (
        sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal",
        "--python-version", oldest_python(), "--generate-hashes", "--no-header", "--no-annotate",
        "--no-emit-index-url", "--upgrade",
        *source, "--output-file", name,
    )  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True, timeout=_RESOLVE_TIMEOUT_S)


def oldest_python() -> str:
    """The oldest Python that a lock is for, whichever resolves it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest: str = project["requires-python"].removeprefix(">=")
    return oldest


def versions(nix: tuple[str, ...] | None) -> Versions:
    """What the locks say now; what is in nixpkgs only where Nix can be asked."""
    found: Versions = {name: pinned((ROOT / name).read_text()) for name in LOCKS}
    found["flake.lock"] = locked_nixpkgs(json.loads((ROOT / "flake.lock").read_text()))
    if nix:
        command = (*nix, "eval", "--json", f".#packages.{_SERVER}.release.versions")
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
                lines.append(f"{source:27} {name:26} {was:14} -> {now}")
    return lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
