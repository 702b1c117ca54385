"""What may run on a host that asks for approvals: real signatures, releases that are scripts."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import msgspec
import pytest

from app.release import statements
from app.release.host.agent import Agent
from app.release.host.site import Site, SiteConfig
from app.release.messages import Render, Rendered, Reply, Signed
from app.release.shell import Shell
from app.release.statements import APPROVAL, RELEASE, Approval, ReleaseStatement

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen here")


class Guarded:
    """A host that takes only what was approved; its store has every path whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shell = Shell({"PATH": os.environ["PATH"]})
        self.site = Site(folder, folder / "store")
        for made in (self.site.links, self.site.record, self.site.stack, folder / "bin"):
            made.mkdir()
        for name in ("builder", "alice"):
            self.shell.run(
                ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / name)),
                timeout_s=30.0,
            )
        keys = [(folder / f"{name}.pub").read_text().strip() for name in ("builder", "alice")]
        self.site.signers.write_text(statements.signers_file((keys[0],), {"alice": keys[1]}))
        (folder / "site.json").write_bytes(
            msgspec.json.encode(SiteConfig("production", True, 2, 0, 5.0))  # noqa: FBT003
        )
        nix = folder / "bin" / "nix-store"
        nix.write_text("#!/bin/sh\n")
        nix.chmod(0o755)
        self.old, self.new = self._release("o"), self._release("n")
        self.site.profile.symlink_to(self.old)
        self.agent = Agent.at(self.site, {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"})

    def _release(self, letter: str) -> str:
        path = self.site.store / f"{letter * 32}-windlass"
        (path / "bin").mkdir(parents=True)
        (path / "release.json").write_text(json.dumps({"version": "1", "commit": letter * 40}))
        program = path / "bin" / "windlass"
        program.write_text(f"#!/bin/sh\necho {letter} $* >>{self.folder}/ran\necho '[]'\n")
        program.chmod(0o755)
        return str(path)

    def signed(self, path: str) -> Signed:
        return statements.sign(self.shell, ReleaseStatement(path), self.folder / "builder", RELEASE)

    def approve(self, path: str, base: str) -> None:
        approval = Approval("production", path, base, "staging", ["one"], "alice", 1.0)
        signed = statements.sign(self.shell, approval, self.folder / "alice", APPROVAL)
        assert self.agent.answer("approve", msgspec.json.encode(signed)).refusal is None

    def render(self, path: str) -> Reply[Rendered]:
        order = msgspec.json.encode(Render(path, self.signed(path)))
        said = msgspec.json.encode(self.agent.answer("render", order))
        return msgspec.json.decode(said, type=Reply[Rendered])

    def ran(self) -> list[str]:
        """The releases of which a command was run."""
        file = self.folder / "ran"
        return sorted({line[0] for line in file.read_text().splitlines()} if file.exists() else [])


@pytest.fixture
def host(tmp_path: Path) -> Guarded:
    return Guarded(tmp_path)


def test_no_command_is_run_of_a_release_that_nobody_approved(host: Guarded) -> None:
    refusal = host.render(host.new).refusal
    assert refusal is not None
    assert refusal.code == "unapproved"
    assert host.ran() == []
    host.approve(host.new, host.old)
    assert host.render(host.new).refusal is None
    assert host.ran() == ["n", "o"]
