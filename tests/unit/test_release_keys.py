"""Whose key it is: what each may ask for, what is noted of it, and an approval by it alone.

`ssh` is a program of these tests that does as sshd: it takes the first line of authorized_keys with
the client's key and runs its forced command, here. The rest is real.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.errors import ConfigError, RefusedError
from app.release import inventory, statements
from app.release.host import audit
from app.release.host.agent import Agent
from app.release.host.gate import APPROVER, DEPLOYER, HOLD, LOGS, MAY_ASK, STORE, admitted
from app.release.host.install import Installation, authorized_keys
from app.release.host.site import Site, SiteConfig
from app.release.messages import AuditEntry, Confirmed
from app.release.shell import Shell
from tests.support import ROOT

needs_store = pytest.mark.skipif(
    not Path("/nix/store").is_dir(), reason="no Nix store here, whose free space a host tells"
)
PATH = f"/nix/store/{'n' * 32}-windlass"
KEYS = {name: f"ssh-ed25519 {name[0] * 68}" for name in ("alice", "bob", "deploy", "host")}
CONFIG = SiteConfig("staging", needs_approval=False, keep=2, keep_days=0, start_timeout_s=5.0)


# ---- what a role may ask for


def test_every_order_of_the_agent_is_of_some_role() -> None:
    orders = Agent.at(Site(ROOT), {}).orders()
    assert set(MAY_ASK) == set(orders) | {LOGS, HOLD, STORE}
    assert all(DEPLOYER in roles for roles in MAY_ASK.values())


def test_an_approver_looks_and_approves_and_nothing_else() -> None:
    allowed = {"status", "audit", "approve", LOGS}
    assert {name for name, roles in MAY_ASK.items() if APPROVER in roles} == allowed
    for name in MAY_ASK:
        asked = name if name == STORE else f"windlass host {name}"
        if name in allowed:
            assert admitted(asked, APPROVER) == (name,)
            continue
        with pytest.raises(RefusedError, match=r"its role, approver, .*deploy_key in deploy\.toml"):
            admitted(asked, APPROVER)


# ---- which keys open a host


def installation(*approvers: tuple[str, str], base: str = "/base") -> Installation:
    return Installation(base, "windlass", PATH, [KEYS["deploy"]], "", [], CONFIG, list(approvers))


def test_each_key_has_one_line_with_its_forced_command() -> None:
    gate = "/base/links/agent/bin/windlass host --base /base gate"
    found = authorized_keys(installation(("alice", KEYS["alice"]), ("bob", KEYS["bob"])))
    assert found.splitlines() == [
        f'restrict,command="{gate} --as=alice --role=approver" {KEYS["alice"]}',
        f'restrict,command="{gate} --as=bob --role=approver" {KEYS["bob"]}',
        f'restrict,command="{gate}" {KEYS["deploy"]}',
    ]
    twice = authorized_keys(installation(("alice", KEYS["deploy"]))).splitlines()
    assert len(twice) == 1, "sshd takes the first line of a key"
    assert "--role=approver" in twice[0], "what may do less is what counts"


def environment(name: str, more: str) -> str:
    return (
        f'[environments.{name}]\ndeploy_key = "{name}-key"\nsigning_key = "s"\n'
        f'builders = ["{KEYS["host"]}"]\n{more}\n'
        f'[[environments.{name}.hosts]]\nname = "{name}-1"\naddress = "192.0.2.1"\n'
        f'host_key = "{KEYS["host"]}"\n'
    )


def three(folder: Path, **approvers: str) -> Path:
    """A deploy.toml of staging, production after it, and a trial after production."""
    file = folder / "deploy.toml"
    tables = {"production": f'alice = "{KEYS["alice"]}"', "trial": f'bob = "{KEYS["bob"]}"'}
    tables |= approvers
    after = {"production": "staging", "trial": "production"}
    file.write_text(environment("staging", "") + "".join(
        environment(name, f'requires = "{after[name]}"\napprovers = {{ {table} }}')
        for name, table in tables.items()
    ))  # fmt: skip
    return file


def test_a_host_knows_the_approvers_of_its_environment_and_of_those_after_it(
    tmp_path: Path,
) -> None:
    found = inventory.read(
        three(tmp_path, trial=f'bob = "{KEYS["bob"]}", alice = "{KEYS["alice"]}"')
    )
    alice, bob = ("alice", KEYS["alice"]), ("bob", KEYS["bob"])
    assert found.approvers_at("staging") == [alice]
    assert found.approvers_at("production") == [alice, bob]
    assert found.approvers_at("trial") == [bob, alice]


@pytest.mark.parametrize(
    ("trial", "words"),
    [
        (f'bob = "{KEYS["deploy"]}"', "trial.approvers.bob: is the deploy key of staging, too"),
        (f'bob = "{KEYS["alice"]}"', "trial.approvers.bob: is alice's key, too; each"),
        (f'deploy = "{KEYS["bob"]}"', "trial.approvers.deploy: is how audit logs call the deploy"),
    ],
)
def test_a_key_says_who_somebody_is(tmp_path: Path, trial: str, words: str) -> None:
    file = three(tmp_path, trial=trial)
    (tmp_path / "staging-key.pub").write_text(f"{KEYS['deploy']} a comment\n")
    with pytest.raises(ConfigError) as caught:
        inventory.read(file)
    (fault,) = map(str, caught.value.faults)
    assert words in fault


# ---- what is noted


def line_of_before(before: str, action: str) -> str:
    """A line of the audit log as it was before a key was noted, and its hash."""
    entry: dict[str, Any] = {"at": "2026-01-01T00:00:00.000Z", "action": action, "by": "alice",
                             "deploy": "", "origin": "", "path": "", "reason": "", "result": "",
                             "chain": ""}  # fmt: skip
    entry["chain"] = hashlib.sha256(before.encode() + msgspec.json.encode(entry)).hexdigest()
    return json.dumps(entry)


@pytest.mark.parametrize(
    ("old", "new"), [('"key":"deploy"', '"key":"alice"'), ('"deploy"}', '""}')]
)
def test_the_log_of_before_stays_whole_and_a_noted_key_cannot_be_changed(
    tmp_path: Path, old: str, new: str
) -> None:
    site = Site(tmp_path)
    site.record.mkdir()
    first = line_of_before("", "begin")
    second = line_of_before(json.loads(first)["chain"], "switch")
    file = site.record / "audit.jsonl"
    file.write_text(f"{first}\n{second}\n")
    audit.append(site, AuditEntry("", "confirm", "alice", key="deploy"))
    found = audit.read(site, 10)
    assert found.fault == ""
    assert [one.key for one in found.entries] == ["", "", "deploy"]
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    assert "line 3" in audit.read(site, 10).fault


# ---- at an approver's desk


class Desk:
    """The desk of alice, who has her own key only; a host of staging, and one of production."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = folder / "keys"
        self.shell = Shell({"PATH": os.environ["PATH"]})
        (folder / "bin").mkdir()
        self.keys.mkdir()
        for name in ("alice", "mallory", "deploy"):
            self.shell.run(
                ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f",
                 str(self.keys / name)), timeout_s=30.0,
            )  # fmt: skip
        (folder / "deploy.toml").write_text(
            environment("staging", "")
            + environment("production", f'requires = "staging"\napprovers = {{ alice = "'
                          f'{self.public("alice")}" }}')
        )  # fmt: skip
        self._write_ssh()
        self.site = {name: self._host(name) for name in ("staging", "production")}
        seen = Confirmed(PATH, "1", "c", "", "d", "bob@desk", 1.0, complete=True)
        self.site["staging"].write("confirmed", [seen])

    def public(self, name: str) -> str:
        return (self.keys / f"{name}.pub").read_text().strip()

    def windlass(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            (sys.executable, "-m", "app", *words), capture_output=True, text=True, check=False,
            timeout=60, cwd=self.folder, env={
                "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
                "GITHUB_ACTOR": "the queen",
            },
        )  # fmt: skip

    def approve(self, key: str) -> subprocess.CompletedProcess[str]:
        return self.windlass("approve", "production", "--release", PATH, "--as", "alice",
                             "--key", f"keys/{key}")  # fmt: skip

    def give(self, key: str, order: str, message: object) -> subprocess.CompletedProcess[str]:
        """Give production's host an order, by a key."""
        config = self.folder / "ssh_config"
        config.write_text(f'Host production-1\n    IdentityFile "{self.keys / key}"\n')
        return subprocess.run(
            (str(self.folder / "bin" / "ssh"), "-F", str(config), "-T", "production-1", "--",
             *order.split()), input=json.dumps(message), capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip

    def audit(self) -> list[tuple[str, str, str]]:
        """What production's host has noted: what, by whom, and by whose key."""
        entries = audit.read(self.site["production"], 10).entries
        return [(one.action, one.by, one.key) for one in entries]

    def _host(self, name: str) -> Site:
        site = Site(self.folder / f"{name}-1")
        for made in (site.record, site.links, site.releases, site.stack, site.base / ".ssh",
                     site.base / "agent" / "bin"):  # fmt: skip
            made.mkdir(parents=True)
        site.agent.symlink_to(site.base / "agent")
        program = site.agent / "bin" / "windlass"
        program.write_text(
            '#!/bin/sh\n[ "$1" != status ] || { echo \'{"running":false}\'; exit; }\n'
            f'PYTHONPATH={ROOT} exec {shlex.quote(sys.executable)} -m app "$@"\n'
        )
        program.chmod(0o755)
        config = SiteConfig(name, name == "production", 2, 0, 5.0)
        (site.base / "site.json").write_bytes(msgspec.json.encode(config))
        found = inventory.read(self.folder / "deploy.toml")
        approvers = found.environment(name).approvers
        site.signers.write_text(statements.signers_file((), dict(approvers)))
        wanted = installation(*found.approvers_at(name), base=str(site.base))
        wanted.deploy_keys = [self.public("deploy")]
        (site.base / ".ssh" / "authorized_keys").write_text(authorized_keys(wanted))
        return site

    def _write_ssh(self) -> None:
        program = self.folder / "bin" / "ssh"
        program.write_text(f"""#!{sys.executable}
import os, re, sys
config, host, words = open(sys.argv[2]).read(), sys.argv[4], sys.argv[6:]
section = config.partition(f"Host {{host}}\\n")[2]
key = re.search('IdentityFile "(.*)"', section)[1]
public = open(key.removesuffix(".pub") + ".pub").read().strip()
for line in open(f"{self.folder}/{{host}}/.ssh/authorized_keys"):
    if line.rstrip().endswith(public):
        command = re.search('command="(.*?)"', line)[1]
        os.environ["SSH_ORIGINAL_COMMAND"] = " ".join(words)
        os.execv("/bin/sh", ("sh", "-c", command))
sys.stderr.write("Permission denied (publickey).\\n")
sys.exit(255)
""")
        program.chmod(0o755)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("no ssh-keygen here")
    return Desk(tmp_path)


@needs_store
def test_an_approver_approves_by_a_personal_key_alone(desk: Desk) -> None:
    done = desk.approve("mallory")
    assert done.returncode == 1
    assert "Permission denied" in done.stderr
    assert "If not: windlass setup" in done.stderr
    done = desk.approve("alice")
    assert done.returncode == 0, done.stderr
    assert f"alice approved {PATH} for production, from nothing" in done.stdout
    assert desk.audit() == [("approve", "alice", "alice")]
    done = desk.windlass("audit", "production", "--key", "keys/alice")
    assert done.returncode == 0, done.stderr
    title, line = done.stdout.splitlines()
    assert title.split()[:5] == ["time", "host", "what", "by", "key"]
    assert line.split()[2:5] == ["approve", "alice", "alice"]


@needs_store
def test_without_the_deploy_key_it_is_said_how_an_approver_looks(desk: Desk) -> None:
    for words in (("status", "staging"), ("lock", "staging", "--reason", "x")):
        done = desk.windlass(*words)
        assert done.returncode == 78
        assert "staging-key: there is no such file" in done.stderr
        assert "take a personal ssh key by --key FILE" in done.stderr
    done = desk.windlass("releases", "staging", "--key", "keys/alice.pub")
    assert (done.returncode, PATH in done.stdout) == (0, True), done.stderr


def test_whose_key_it_is_is_noted_beside_what_the_caller_says(desk: Desk) -> None:
    order = {"by": "alice", "reason": "the sale is on", "at": 0}
    done = desk.give("alice", "windlass host lock", order)
    assert done.returncode == 1
    assert "its role, approver, gives only these orders" in done.stderr
    assert desk.audit() == []
    assert desk.give("deploy", "windlass host lock", order).returncode == 0
    assert desk.audit() == [("lock", "alice", "deploy")]


def test_nobody_approves_in_anothers_name(desk: Desk) -> None:
    approval = statements.Approval("production", PATH, "", "staging", ["one"], "alice", 1e10)
    signed = statements.sign(desk.shell, approval, desk.keys / "mallory", statements.APPROVAL)
    done = desk.give("alice", "windlass host approve", msgspec.to_builtins(signed))
    assert done.returncode == 1
    assert "no key that this host knows signed this" in done.stdout
    assert desk.audit() == []
