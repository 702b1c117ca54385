#!/usr/bin/env python3
"""Makes a fresh ephemeral runner of GitHub Actions; root runs it before each start of the service.

Unpacks the runner anew, asks GitHub for a token to register with, which lives for an hour, and
registers as the runner's own user. The long-lived token is read here and given to nobody. Standard
library only; `nix/github-runner.service` sets the environment.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

_TIMEOUT_S = 30
_REGISTER_TIMEOUT_S = 120
_UNPACK_TIMEOUT_S = 300


def main(environ: dict[str, str]) -> int:
    """Prepare a runner; returns the exit code."""
    home = Path(environ.get("RUNNER_HOME", "/var/lib/github-runner"))
    settings = Path(environ.get("RUNNER_SETTINGS", "/etc/github-runner"))
    archive = Path(environ.get("RUNNER_ARCHIVE", "/opt/actions-runner.tar.gz"))
    url = environ["RUNNER_URL"]
    runner = home / "runner"
    shutil.rmtree(runner, ignore_errors=True)
    runner.mkdir(mode=0o700)
    unpack = ("tar", "--extract", "--no-same-owner", "--file", str(archive), "--directory")
    subprocess.run((*unpack, str(runner)), check=True, timeout=_UNPACK_TIMEOUT_S)
    user = environ.get("RUNNER_USER", "github-runner")
    group = environ.get("RUNNER_GROUP", user)
    _give(runner, user, group)
    token = registration_token(
        url, (settings / "token").read_text().strip(),
        environ.get("RUNNER_API", "https://api.github.com"),
    )  # fmt: skip
    register = (str(runner / "config.sh"), "--unattended", "--ephemeral", "--replace",
                "--disableupdate", "--url", url, "--token", token,
                "--name", environ.get("RUNNER_NAME") or socket.gethostname(),
                "--labels", environ.get("RUNNER_LABELS", "windlass-deploy"))  # fmt: skip
    done = subprocess.run(
        register, cwd=runner, check=False, timeout=_REGISTER_TIMEOUT_S, user=user, group=group,
        extra_groups=[], umask=0o077,
        env={"HOME": str(runner), "PATH": environ.get("PATH", os.defpath)},
    )  # fmt: skip
    return done.returncode


def registration_token(url: str, token: str, api: str) -> str:
    """A token to register one runner with, for the repository at a URL."""
    repository = urlsplit(url).path.strip("/")
    request = urllib.request.Request(  # noqa: S310 - GitHub's address, from root's settings
        f"{api}/repos/{repository}/actions/runners/registration-token", method="POST",
        headers={"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
        found: str = json.load(answer)["token"]
    return found


def _give(folder: Path, user: str, group: str) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            shutil.chown(path, user, group)


if __name__ == "__main__":
    sys.exit(main(dict(os.environ)))
