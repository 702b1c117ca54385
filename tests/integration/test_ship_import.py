"""A closure goes to a machine without root: a store of real Nix, its daemon, a real bundle."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.ship import bundle, closure
from tests.integration.test_units import as_nobody, why_not
from tests.support import ROOT, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

UNIT = ROOT / "nix" / "github-runner.service"
PROGRAMS = ("nix", "nix-store", "nix-daemon", "nix-instantiate", "ssh-keygen")
pytestmark = [
    pytest.mark.skipif(
        os.geteuid() != 0 or None in map(shutil.which, PROGRAMS),
        reason=f"needs root, and {', '.join(PROGRAMS)}",
    ),
    pytest.mark.timeout(120),
]
# What Nix builds has a name by its inputs, so that only a signature speaks for its content.
BUILT = (
    'derivation { name = "release"; system = builtins.currentSystem; builder = "/bin/sh"; '
    'args = [ "-c" "echo released > $out" ]; }'
)
ABOUT = {"name": "windlass", "release": "1.0.0-abcdef0", "commit": "abcdef0" * 5 + "abcde"}


@dataclass
class Machine:
    """A store with its daemon in a folder, and a bundle whose release the store does not have."""

    folder: Path
    path: str = ""
    daemon: subprocess.Popen[bytes] | None = None

    @property
    def environ(self) -> dict[str, str]:
        names = ("NIX_STORE_DIR", "NIX_STATE_DIR", "NIX_LOG_DIR", "NIX_CONF_DIR", "HOME")
        nix = {name: str(self.folder / name.lower()) for name in names}
        return {**nix, "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT),
                "XDG_CACHE_HOME": nix["HOME"], "WINDLASS_DEPLOY": str(self.folder / "deploy.toml"),
                "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip

    def run(self, *words: str) -> str:
        done = subprocess.run(
            words, env=self.environ, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout.strip()

    def make_bundle(self) -> None:
        """Build and sign a release, seal its bundle, and forget it."""
        self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f",
                 str(self.folder / "builder"))  # fmt: skip
        self.run("nix-store", "--generate-binary-cache-key", "site-1",
                 str(self.folder / "site"), str(self.folder / "site.pub"))  # fmt: skip
        (self.folder / "nix_conf_dir").mkdir()
        self.trust("")
        expression = self.folder / "release.nix"
        expression.write_text(BUILT)
        self.path = self.run("nix-store", "--realise", self.run("nix-instantiate", str(expression)))
        self.run("nix", "--extra-experimental-features", "nix-command", "store", "sign",
                 "--recursive", "--key-file", str(self.folder / "site"), self.path)  # fmt: skip
        sealed = self.folder / "bundle"
        sealed.mkdir()
        closure.pack(self.path, sealed / bundle.CLOSURE, lambda words: self.run(*words))
        bundle.seal(sealed, self.path, ABOUT, self.folder / "builder")
        public = (self.folder / "builder.pub").read_text().strip()
        (self.folder / "deploy.toml").write_text(
            '[environments.staging]\ndeploy_key = "keys/deploy"\nsigning_key = "keys/builder"\n'
            f'store_key = "keys/store"\nbuilders = ["{public}"]\n'
            f'trusted_store_keys = ["{(self.folder / "site.pub").read_text().strip()}"]\n'
            f'[[environments.staging.hosts]]\nname = "one"\naddress = "192.0.2.1"\n'
            f'host_key = "{public}"\n'
        )
        for name in ("nix_store_dir", "nix_state_dir"):
            shutil.rmtree(self.folder / name)

    def trust(self, key: str) -> None:
        """Write nix.conf, which trusts one key to sign, and nobody but root as a user."""
        (self.folder / "nix_conf_dir" / "nix.conf").write_text(
            "build-users-group =\nsandbox = false\nsubstituters =\n"
            f"trusted-users = root\ntrusted-public-keys = {key}\n"
        )

    def start_daemon(self) -> None:
        self.daemon = subprocess.Popen(
            (shutil.which("nix-daemon") or "", "--daemon"), env=self.environ,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        socket = self.folder / "nix_state_dir" / "daemon-socket" / "socket"
        wait_for(socket.exists, "Nix' daemon")

    def stop_daemon(self) -> None:
        if self.daemon is not None:
            self.daemon.kill()
            self.daemon.wait(30)

    def import_by(self, *user: str) -> subprocess.CompletedProcess[str]:
        """`./run ship import`, by what becomes a user."""
        words = (sys.executable, "-m", "pipeline", "ship", "import", str(self.folder / "bundle"))
        return subprocess.run(
            (*user, *words), cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
            env=self.environ | {"NIX_REMOTE": "daemon"},
        )  # fmt: skip


def nobody() -> tuple[str, ...]:
    """As the runner's unit has it: no root, no way to become it, and not every system call."""
    if reason := why_not():
        pytest.skip(reason)
    return (*as_nobody(), sys.executable, str(ROOT / "tests" / "hardened.py"), str(UNIT))


@pytest.fixture
def machine() -> Iterator[Machine]:
    # Below no folder that only root may enter, as pytest's are.
    with tempfile.TemporaryDirectory(prefix="windlass-import-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        found = Machine(folder)
        try:
            found.make_bundle()
            (folder / "home").mkdir(mode=0o777, exist_ok=True)
            (folder / "home").chmod(0o777)
            yield found
        finally:
            found.stop_daemon()


def test_import_takes_no_root_where_the_store_trusts_the_key(machine: Machine) -> None:
    machine.trust((machine.folder / "site.pub").read_text().strip())
    machine.start_daemon()
    done = machine.import_by(*nobody())
    assert done.returncode == 0, done.stderr
    assert f"{machine.path} is here" in done.stdout
    assert Path(machine.path).read_text() == "released\n"


def test_store_that_does_not_trust_the_key_takes_nothing_from_nobody(machine: Machine) -> None:
    machine.start_daemon()
    done = machine.import_by(*nobody())
    assert done.returncode == 1, done.stdout
    assert "lacks a valid signature" in done.stderr
    assert not Path(machine.path).exists()


def test_user_whom_the_store_trusts_brings_the_key_along(machine: Machine) -> None:
    machine.start_daemon()
    done = machine.import_by()
    assert done.returncode == 0, done.stderr
    assert Path(machine.path).read_text() == "released\n"
