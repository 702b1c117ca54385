"""What this build is: name, version, commit, release.

All of it comes from what the release's own command says (`WINDLASS_RELEASE`, the text of its
`release.json`), else from a `release.json` beside the code; another service's release says its own
name. Else the commit comes from git in a checkout, else it is "Development". So the code itself is
the same for every commit that leaves it alone. Read once by the master before it forks; workers
inherit the answer.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import msgspec

from app import __version__

APP_NAME = "windlass"
DESCRIPTION = "A production runtime for a Tornado and Redis web service on servers that you own."
NO_COMMIT = "Development"
PACKAGE_DIR = Path(__file__).resolve().parent
GIT_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers: the same for every worker of one release.

    Attributes:
        version: of the service, by the rules of PEP 440.
        commit: full SHA-1 of the commit, or "Development".
        release: name of the release, VERSION-COMMIT with seven digits unless it has one of its own,
            or "checkout".
        name: of the service.
        description: of the service, a sentence.
    """

    version: str
    commit: str
    release: str
    name: str = APP_NAME
    description: str = DESCRIPTION

    @property
    def title(self) -> str:
        """The name as pages show it."""
        return self.name[:1].upper() + self.name[1:]


class _ReleaseFile(msgspec.Struct):
    version: str
    commit: str
    release: str = ""
    name: str = APP_NAME
    description: str = DESCRIPTION


def identify(root: Path) -> Identity:
    """Say what the code under `root` is: the folder that holds `release.json` or `.git`."""
    try:
        text = os.environ.get("WINDLASS_RELEASE") or (root / "release.json").read_bytes()
        built = msgspec.json.decode(text, type=_ReleaseFile)
    except (OSError, msgspec.MsgspecError):
        return Identity(__version__, _commit_of_checkout(root) or NO_COMMIT, "checkout")
    release = built.release or f"{built.version}-{built.commit[:7]}"
    return Identity(built.version, built.commit, release, built.name, built.description)


def _commit_of_checkout(root: Path) -> str | None:
    # Only a checkout of this project itself counts, not one that merely surrounds an installed
    # package: a virtual environment inside somebody's repository must not report their commit.
    if not (root / ".git").exists():
        return None
    # A hook of git that runs us would make git look at the hook's repository instead of ours.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    command = ("git", "-c", f"safe.directory={root}", "-C", str(root), "rev-parse", "HEAD")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=GIT_TIMEOUT_S, check=False,
            env=environment,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    commit = done.stdout.strip()
    return commit if done.returncode == 0 and commit else None
