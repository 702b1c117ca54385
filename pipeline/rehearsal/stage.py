"""Where a rehearsal takes place: a clone, a deployer, a host of staging, three of production.

The hosts are those of the tests of releases: each with a root, a Nix store, an sshd and an address
of its own. Releases are put into the deployer's store as they are (`nix-store --add`); nothing is
built by Nix, so that a rehearsal takes minutes and no network.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.jobs import ROOT, PipelineError
from pipeline.selftest.clone import OUT_OF_TIME, Clone
from pipeline.ship import bundle, closure
from tests.release_site import Site, clean_environ, table

STAGING, PRODUCTION = ("stage",), ("one", "two", "three")
PORT = 8000
_TIMEOUT_S = 1800
_WINDOW_S = 90
_START_TIMEOUT_S = 300
"""Of machines that share one with other work: what is rehearsed is the way, and not its speed."""

_SETTINGS = (
    "HOST=0.0.0.0\nPORT=8000\nPLAN_PORT=\nWORKERS=2\nREDIS_MANAGED=yes\nLOG_FORMAT=json\n"
    "ENVIRONMENT={environment}\n"
)
_SMOKE = {"path": "/calculator/add?a=0.1&b=0.2", "contains": "0.3"}

Change = tuple[str, str, str]
"""A file, what stands there, and what stands there instead."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a command.

    Attributes:
        shown: the command as a person would type it.
        code: its exit code.
        seconds: that it took.
        output: all that it said.
    """

    shown: str
    code: int
    seconds: float
    output: str


class Stage:
    """Clone, servers and keys.

    Args:
        folder: for all of it; not inside of a checkout.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clone = Clone(folder / "clone")
        self.site = Site(folder / "site", (*STAGING, *PRODUCTION), timeout_s=_TIMEOUT_S)

    def up(self) -> None:
        """Boot the servers and write deploy.toml.

        Raises:
            PipelineError: one does not boot.
        """
        try:
            self.site.up()
        except pytest.fail.Exception as error:  # which is no `Exception`
            raise PipelineError(str(error)) from error
        site = self.site
        staging = site.environment(
            "staging", STAGING, window_s=_WINDOW_S, start_timeout_s=_START_TIMEOUT_S
        )
        production = site.environment(
            "production", PRODUCTION, batch=3, requires="staging",
            approvers={"alice": site.public("alice")}, window_s=_WINDOW_S,
            start_timeout_s=_START_TIMEOUT_S,
        )  # fmt: skip
        smoke = [
            line
            for name in ("staging", "production")
            for line in table(f"[[environments.{name}.smoke]]", _SMOKE)
        ]
        site.write_inventory("\n".join([staging, production, *smoke, ""]))

    def set_up(self, release: str) -> None:
        """Prepare the servers, as their admin."""
        for name in ("staging", "production"):
            self.site.set_up(name, release, _SETTINGS.format(environment=name.upper()))

    def down(self) -> None:
        """End every process of the servers and remove their network."""
        self.site.down()

    # ---- what is run

    def in_clone(self, *argv: str) -> Done:
        """A command of the pipeline, in the clone."""
        ended = self.clone.run(argv)
        return Done(" ".join(argv), ended.code, ended.seconds, ended.output)

    def windlass(self, *words: str) -> Done:
        """Windlass, on the deployer."""
        argv = self.site.deployer.command(sys.executable, "-m", "app", *words)
        return self._run(argv, " ".join(("./run windlass", *words)))

    def pipeline(self, *words: str) -> Done:
        """A command of the pipeline, on the deployer."""
        argv = self.site.deployer.command(sys.executable, "-m", "pipeline", *words)
        return self._run(argv, " ".join(("./run", *words)))

    def approve(self, path: str) -> Done:
        """What a person does at their own desk."""
        key = str(self.site.keys / "alice")
        words = ("approve", "production", "--release", path, "--as", "alice", "--key", key)
        return self.windlass(*words)

    def url(self, host: str) -> str:
        """The address of the service on a host."""
        return f"http://{self.site.machines[host].address}:{PORT}"

    # ---- releases

    def release(self, commit: str, *changes: Change) -> str:
        """Put a release into the deployer's store; returns its path."""
        return self.site.release(commit, *changes)

    def bundle(self, path: str, commit: str) -> Path:
        """Export a release and sign the bundle, as the job `build` does."""
        folder = self.folder / f"bundle-{commit[:7]}"
        folder.mkdir()
        cache = Path("/var/cache") / folder.name  # of the deployer's own disk
        self.site.deployer.run(*closure.to_cache(path, cache))
        pack = self.site.deployer.command("tar", "--create", "--directory", str(cache), ".")
        with (folder / bundle.CLOSURE).open("wb") as output:
            subprocess.run(pack, stdout=output, check=True, timeout=_TIMEOUT_S, env=clean_environ())
        about = {"name": "windlass", "release": f"1.0.0-{commit[:7]}", "commit": commit}
        bundle.seal(folder, path, about, self.site.keys / "builder")
        return folder

    def running(self) -> dict[str, str]:
        """What each host runs, by its own word."""
        found = self.site.status("staging") | self.site.status("production")
        return {name: str(one.get("path", one.get("error"))) for name, one in found.items()}

    def _run(self, argv: tuple[str, ...], shown: str) -> Done:
        begun = time.monotonic()
        environ = clean_environ() | {
            "PYTHONPATH": str(ROOT), "WINDLASS_DEPLOY": str(self.site.folder / "deploy.toml"),
            "NO_COLOR": "1",
        }  # fmt: skip
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S, env=environ
            )
        except subprocess.TimeoutExpired:
            said = f"not done after {_TIMEOUT_S} s; ended"
            return Done(shown, OUT_OF_TIME, time.monotonic() - begun, said)
        return Done(shown, done.returncode, time.monotonic() - begun, done.stdout + done.stderr)
