#!/usr/bin/env python3
"""Makes a fresh ephemeral runner of GitHub Actions; root runs it before each start of the service.

Brings the runner that GitHub offers now, since one that is a month behind gets no jobs, and unpacks
it anew. Asks for a token to register with, which lives for an hour, and registers as the runner's
own user. The long-lived token is read here and given to nobody. Standard library only;
`nix/github-runner.service` sets the environment.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_TIMEOUT_S = 30
_REGISTER_TIMEOUT_S = 120
_UNPACK_TIMEOUT_S = 300
_ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64"}


def main(environ: dict[str, str]) -> int:
    """Prepare a runner; returns the exit code."""
    home = Path(environ.get("RUNNER_HOME", "/var/lib/github-runner"))
    settings = Path(environ.get("RUNNER_SETTINGS", "/etc/github-runner"))
    api = Api(
        environ.get("RUNNER_API", "https://api.github.com"),
        urlsplit(environ["RUNNER_URL"]).path.strip("/"),
        (settings / "token").read_text().strip(),
    )
    archive = newest_archive(api, Path(environ.get("RUNNER_CACHE", "/var/cache/github-runner")))
    runner = home / "runner"
    shutil.rmtree(runner, ignore_errors=True)
    runner.mkdir(mode=0o700)
    unpack = ("tar", "--extract", "--no-same-owner", "--file", str(archive), "--directory")
    subprocess.run((*unpack, str(runner)), check=True, timeout=_UNPACK_TIMEOUT_S)
    user = environ.get("RUNNER_USER", "github-runner")
    group = environ.get("RUNNER_GROUP", user)
    _give(runner, user, group)
    token = api.ask("POST", "registration-token")["token"]
    register = (str(runner / "config.sh"), "--unattended", "--ephemeral", "--replace",
                "--disableupdate", "--url", environ["RUNNER_URL"], "--token", token,
                "--name", environ.get("RUNNER_NAME") or socket.gethostname(),
                "--labels", environ.get("RUNNER_LABELS", "windlass-deploy"))  # fmt: skip
    done = subprocess.run(
        register, cwd=runner, check=False, timeout=_REGISTER_TIMEOUT_S, user=user, group=group,
        extra_groups=[], umask=0o077,
        env={"HOME": str(runner), "PATH": environ.get("PATH", os.defpath)},
    )  # fmt: skip
    return done.returncode


@dataclass(frozen=True)
class Api:
    """GitHub's, as far as it is about the runners of one repository."""

    address: str
    repository: str
    token: str

    def ask(self, method: str, what: str) -> Any:  # noqa: ANN401 - JSON
        """The answer for what is asked of the repository's runners."""
        request = urllib.request.Request(  # noqa: S310 - GitHub's address, from root's settings
            f"{self.address}/repos/{self.repository}/actions/runners/{what}", method=method,
            headers={"Authorization": f"Bearer {self.token}",
                     "Accept": "application/vnd.github+json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            return json.load(answer)


def newest_archive(api: Api, cache: Path) -> Path:
    """The runner that GitHub offers for this machine, fetched where it is not there yet.

    Raises:
        LookupError: there is none for this machine.
        ValueError: it is not the one of which GitHub gives the SHA-256.
    """
    architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())
    offered = [one for one in api.ask("GET", "downloads")
               if (one["os"], one["architecture"]) == ("linux", architecture)]  # fmt: skip
    if not offered:
        raise LookupError(f"GitHub offers no runner for linux on {architecture}")
    wanted = offered[0]
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    archive = cache / Path(wanted["filename"]).name
    if not archive.is_file():
        for old in cache.iterdir():
            old.unlink()
        part = archive.with_suffix(".part")
        fetched = urllib.request.urlopen(wanted["download_url"], timeout=_TIMEOUT_S)  # noqa: S310
        with fetched as answer, part.open("wb") as output:
            shutil.copyfileobj(answer, output)
        _require_sum(part, wanted.get("sha256_checksum"))
        part.rename(archive)  # only what is whole and right has its name
    return archive


def _require_sum(file: Path, wanted: str | None) -> None:
    """GitHub may leave the sum out; then the connection alone vouches for what came over it."""
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if wanted and found != wanted:
        raise ValueError(f"{file} has the SHA-256 {found}, and not {wanted}")


def _give(folder: Path, user: str, group: str) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            shutil.chown(path, user, group)


if __name__ == "__main__":
    sys.exit(main(dict(os.environ)))
