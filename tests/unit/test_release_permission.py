"""What may run on a host that asks for approvals: real signatures, releases that are scripts."""

from __future__ import annotations

import json
import os
import shutil
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from app.errors import RefusedError
from app.release import statements
from app.release.host.agent import Agent
from app.release.host.permission import LONGEST_S
from app.release.host.site import Site, SiteConfig
from app.release.messages import Confirmed, Render, Rendered, Reply, Signed
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

    def approval(self, path: str, base: str, at: float) -> Signed:
        approval = Approval("production", path, base, "staging", ["one"], "alice", at)
        return statements.sign(self.shell, approval, self.folder / "alice", APPROVAL)

    def accept(self, approval: Signed) -> str:
        """Why the host does not take an approval; empty: it does."""
        refusal = self.agent.answer("approve", msgspec.json.encode(approval)).refusal
        return refusal.reason if refusal else ""

    def ran_to(self, path: str, origin: str) -> None:
        """A run that brought a release to every host, as the host records it."""
        self.site.profile.unlink()
        self.site.profile.symlink_to(path)
        entry = Confirmed(path, "1", "c", origin, "d", "alice@desk", time.time())
        self.site.write("confirmed", [*self.site.confirmed(), entry])
        self.agent.switching.complete([])

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
    assert host.accept(host.approval(host.new, host.old, time.time())) == ""
    assert host.render(host.new).refusal is None
    assert host.ran() == ["n", "o"]


def test_an_approval_counts_for_one_deployment(host: Guarded) -> None:
    approval = host.approval(host.new, host.old, time.time())
    permission, signed = host.agent.switching.permission, host.signed(host.new)
    assert host.accept(approval) == ""
    permission.require(host.new, signed)
    host.ran_to(host.new, host.old)
    host.ran_to(host.old, host.new)
    with pytest.raises(RefusedError, match="nobody approved"):
        permission.require(host.new, signed)
    assert "was used up by a deployment; to approve it again: windlass" in host.accept(approval)
    assert host.accept(host.approval(host.new, host.old, time.time())) == ""
    permission.require(host.new, signed)


def test_a_rollback_uses_up_what_a_run_that_nobody_saw_complete_had_left(host: Guarded) -> None:
    assert host.accept(host.approval(host.new, host.old, time.time())) == ""
    host.ran_to(host.old, host.new)
    with pytest.raises(RefusedError, match="nobody approved"):
        host.agent.switching.permission.require(host.new, host.signed(host.new))


def test_an_approval_expires(host: Guarded) -> None:
    old = host.approval(host.new, host.old, time.time() - LONGEST_S - 1)
    assert "older than 7 days; to approve it again: windlass approve" in host.accept(old)
    host.site.approvals.mkdir(exist_ok=True)
    (host.site.approvals / f"{host.new.rpartition('/')[2]}.json").write_bytes(
        msgspec.json.encode(old)
    )
    with pytest.raises(RefusedError, match="older than 7 days"):
        host.agent.switching.permission.require(host.new, host.signed(host.new))
