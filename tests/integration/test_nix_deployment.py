"""What the virtual machines of `nix/vm-test.nix` do, on machines that are namespaces.

The same steps and the same deploy.toml, by the real commands: so both keep to what windlass does.
All of it takes minutes and runs with RELEASE_LONG=1; deploy.toml is always read.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from app.release import inventory
from nix.deployment import steps
from tests.release_site import Site, why_not
from tests.support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.release_site import Machine

needs_machines = pytest.mark.skipif(
    bool(why_not()) or not os.environ.get("RELEASE_LONG"),
    reason=why_not() or "takes minutes: set RELEASE_LONG=1",
)
SSH_KEYGEN = shutil.which("ssh-keygen") or ""
TEMPLATE = ROOT / "nix" / "deployment" / "deploy.toml"
# As nix/broken-release.nix breaks it.
BROKEN = ("app/serving.py", 'PROBE_PATH = "/health"', 'PROBE_PATH = "/broken-on-purpose"')


class Driven:
    """A machine as NixOS' driver has it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def execute(self, command: str) -> tuple[int, str]:
        done = self._machine.attempt("bash", "-c", f"set -euo pipefail; {command}")
        return done.returncode, done.stdout

    def succeed(self, *commands: str) -> str:
        printed = ""
        for command in commands:
            code, output = self.execute(f"{command} 2>&1")
            assert code == 0, f"{command}: {output}"
            printed += output
        return printed


@pytest.mark.skipif(not SSH_KEYGEN, reason="ssh-keygen is not installed")
def test_inventory_of_the_virtual_machines_is_valid(tmp_path: Path) -> None:
    subprocess.run(
        (SSH_KEYGEN, "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")),
        check=True, timeout=30,
    )  # fmt: skip
    public = (tmp_path / "key.pub").read_text()
    values = {"address": "server", "builder": steps.key_of(public), "host": steps.key_of(public),
              "store": f"site-1:{'A' * 43}="}  # fmt: skip
    file = tmp_path / "deploy.toml"
    file.write_text(steps.filled(TEMPLATE.read_text(), values))
    (host,) = inventory.read(file).environment("production").hosts
    assert (host.name, host.host_key) == ("server", steps.key_of(public))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, ("server",))
    try:
        site.up()
        yield site
    finally:
        site.down()


@needs_machines
@pytest.mark.timeout(900)
def test_steps_of_the_virtual_machines_do_what_they_say(site: Site) -> None:
    server = site.machines["server"]
    server.path("/etc/ssh/ssh_host_ed25519_key.pub").write_text(site.public("host"))
    first, following = site.release("a"), site.release("b")
    bad = site.release("d", BROKEN)
    site.deployer.run("ln", "-sf", f"{first}/bin/windlass", "/usr/local/bin/windlass")
    run = steps.Deployment(Driven(site.deployer), Driven(server), server.address)
    run.make_keys(TEMPLATE.read_text())
    run.set_up(first)
    run.deploy_first(first)
    run.deploy_next(following)
    run.deploy_bad(bad, following)
    run.roll_back(first)
    run.refuse()
