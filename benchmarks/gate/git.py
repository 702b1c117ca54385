"""Questions to git, each with a deadline, and not those of a hook that runs us."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_TIMEOUT_S = 60


class GitError(Exception):
    """git failed; carries its words."""


def git(root: Path, *arguments: str) -> str:
    """What git says of a checkout.

    Raises:
        GitError: it fails, or takes too long.
    """
    command = ("git", "-c", f"safe.directory={root}", "-C", str(root), *arguments)
    # A hook of git names its own repository in these.
    environ = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=_TIMEOUT_S, env=environ
        )
    except subprocess.CalledProcessError as error:
        raise GitError(f"git {arguments[0]} failed: {error.stderr.strip()}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GitError(f"git {arguments[0]} failed: {error}") from error
    return done.stdout
