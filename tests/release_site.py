"""Servers for the tests of releases: real sshd, real Nix stores, real namespaces.

A `Site` is a network of its own with a deployer and some hosts, each with a root, a store, an sshd
and an address of its own. Nothing of it is outside its namespaces and its folder.
"""

from __future__ import annotations

import compileall
import contextlib
import json
import os
import py_compile
import shlex
import shutil
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil

from app.stack import binaries
from tests.support import ROOT, wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MACHINE = ROOT / "tests" / "release_machine.py"
TIMEOUT_S = 300
USER = "windlass"
_NAMES = ("app", "nginx", "supervisord.conf", "requirements-binaries.txt")


def why_not() -> str:
    """Why there can be no such site here; empty when there can."""
    for program in ("nix-store", "nix-daemon", "ip", "unshare", "nsenter", "ssh"):
        if shutil.which(program) is None:
            return f"{program} is missing; apt install nix-bin openssh-server iproute2"
    if not Path("/usr/sbin/sshd").exists():
        return "sshd is missing; apt install openssh-server"
    if os.geteuid() != 0:
        return "only root may make namespaces with roots of their own"
    done = subprocess.run(
        ("unshare", "--mount", "--net", "--pid", "--fork", "true"), capture_output=True,
        timeout=30, check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 else "this machine may make no namespaces"


@dataclass
class Machine:
    """One machine of a site: a process that is its first, and a disk that outlasts it."""

    name: str
    address: str
    namespace: str
    disk: Path
    store_bytes: int = 0
    timeout_s: float = TIMEOUT_S
    process: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        """Start it and wait until sshd answers."""
        with (self.disk.parent / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                ("ip", "netns", "exec", self.namespace, "unshare", "--mount", "--pid", "--fork",
                 "--uts", "--kill-child", sys.executable, str(MACHINE), str(self.disk), self.name,
                 str(self.store_bytes)),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        wait_for(lambda: self.attempt("test", "-e", "/run/machine-is-up").returncode == 0,
                 f"{self.name} to boot", self.timeout_s / 10)  # fmt: skip

    def pull_the_plug(self) -> None:
        """Kill everything that runs on it, at once."""
        if self.process is not None:
            self.process.kill()  # unshare, whose child, the first process, is killed with it
            self.process.wait()
            self.process = None

    def bring_coverage(self) -> None:
        """Bring what coverage wrote on the machine's disk to where it is put together."""
        for file in (self.disk / "upper" / ROOT.relative_to("/")).glob(".coverage.*"):
            shutil.copy(file, ROOT)

    @property
    def first_pid(self) -> int:
        """The machine's first process, as the real machine counts."""
        assert self.process is not None
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return int(text.split()[0])

    def command(self, *words: str) -> tuple[str, ...]:
        """What runs `words` on the machine, as its root."""
        pid = str(self.first_pid)
        return ("nsenter", "--target", pid, "--mount", "--net", "--pid", "--uts", "--root",
                f"--wd=/proc/{pid}/root", "--", *words)  # fmt: skip

    def attempt(self, *words: str, given: str = "", timeout_s: float | None = None
                ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Run a command on the machine to its end."""
        with contextlib.suppress(IndexError, OSError):
            return subprocess.run(
                self.command(*words), input=given, capture_output=True, text=True, check=False,
                timeout=timeout_s or self.timeout_s, env=clean_environ(),
            )  # fmt: skip
        return subprocess.CompletedProcess(words, 1, "", "the machine is not up")

    def run(self, *words: str, given: str = "") -> str:
        """As `attempt`; fails the test when the command does."""
        done = self.attempt(*words, given=given)
        assert done.returncode == 0, f"{shlex.join(words)} on {self.name}:\n{done.stderr}"
        return done.stdout

    def path(self, inside: str) -> Path:
        """A file of the machine, as the real machine sees it while it is up."""
        return Path(f"/proc/{self.first_pid}/root{inside}")

    def set_link(self, *, up: bool) -> None:
        """Cut its network, or mend it."""
        command = ("ip", "-n", self.namespace, "link", "set", "eth0", "up" if up else "down")
        subprocess.run(command, check=True, timeout=30)


def clean_environ() -> dict[str, str]:
    """An environment without this test's own."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root", "USER": "root", "LANG": "C.UTF-8"}  # fmt: skip


@dataclass
class Site:
    """A deployer and its hosts.

    Attributes:
        folder: for all that it writes.
        names: of the hosts.
        store_bytes: size of the disk of a host's store; by default that of the real machine.
        timeout_s: of each command; a machine boots within a tenth of it.
        machines: by name.
        started: what `start` has started.
    """

    folder: Path
    names: tuple[str, ...]
    store_bytes: dict[str, int] = field(default_factory=dict)
    timeout_s: float = TIMEOUT_S
    machines: dict[str, Machine] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.id = f"wl{uuid.uuid4().hex[:6]}"
        self.keys = self.folder / "keys"

    @property
    def deployer(self) -> Machine:
        return self.machines["deployer"]

    def hosts(self) -> list[Machine]:
        return [self.machines[name] for name in self.names]

    # ---- up and down

    def up(self) -> None:
        """Make the network and boot every machine."""
        self.keys.mkdir(parents=True)
        for name in ("host", "admin", "deploy", "builder", "alice", "mallory"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f",
                str(self.keys / name))  # fmt: skip
        run("nix-store", "--generate-binary-cache-key", "test-1", str(self.keys / "store"),
            str(self.keys / "store.pub"))  # fmt: skip
        for number, name in enumerate(("deployer", *self.names)):
            namespace = f"{self.id}-{name}"
            run("ip", "netns", "add", namespace)
            self.machines[name] = Machine(
                name, f"10.77.0.{number + 1}", namespace, self.folder / name,
                self.store_bytes.get(name, 0), self.timeout_s,
            )  # fmt: skip
        self._connect()
        own = self.deployer.disk / "upper" / "root" / ".ssh"
        own.mkdir(parents=True, mode=0o700)
        shutil.copy(self.keys / "admin", own / "id_ed25519")
        for machine in self.machines.values():
            self._write_sshd(machine)
            machine.boot()

    def down(self) -> None:
        """End every process and remove the network."""
        self.end_started()
        for machine in self.machines.values():
            machine.pull_the_plug()
            subprocess.run(("ip", "netns", "del", machine.namespace), check=False, timeout=30)
            machine.bring_coverage()

    def _connect(self) -> None:
        """A bridge in the deployer's namespace, to which each host has a cable."""
        hub = self.deployer.namespace
        run("ip", "-n", hub, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", hub, "addr", "add", "10.77.0.1/24", "dev", "br0")
        run("ip", "-n", hub, "link", "set", "br0", "up")
        run("ip", "-n", hub, "link", "set", "lo", "up")
        for number, machine in enumerate(self.hosts()):
            end = f"{self.id}h{number}"
            run("ip", "-n", hub, "link", "add", end, "type", "veth", "peer", "name", "eth0",
                "netns", machine.namespace)  # fmt: skip
            run("ip", "-n", hub, "link", "set", end, "master", "br0", "up")
            run("ip", "-n", machine.namespace, "addr", "add", f"{machine.address}/24", "dev",
                "eth0")  # fmt: skip
            run("ip", "-n", machine.namespace, "link", "set", "eth0", "up")
            run("ip", "-n", machine.namespace, "link", "set", "lo", "up")

    def _write_sshd(self, machine: Machine) -> None:
        """Sshd as a server has it, and root's key for the operator."""
        folder = machine.disk / "upper" / "etc" / "ssh"
        folder.mkdir(parents=True)
        shutil.copy(self.keys / "host", folder / "test_host")
        (folder / "test_host").chmod(0o600)
        shutil.copy(self.keys / "admin.pub", folder / "admin_keys")
        (folder / "test_config").write_text(
            f"ListenAddress {machine.address}\nHostKey /etc/ssh/test_host\nUsePAM no\n"
            "PermitRootLogin prohibit-password\nPasswordAuthentication no\n"
            "MaxStartups 100\nPidFile none\n"
            "Match User root\n  AuthorizedKeysFile /etc/ssh/admin_keys\n"
        )
        folder = machine.disk / "upper" / "usr" / "local" / "bin"
        folder.mkdir(parents=True)
        for wanted in (binaries.NGINX, binaries.REDIS):
            found = binaries.provide(wanted, ROOT, os.environ["PATH"], print)
            shutil.copy(found.path, folder / wanted.name)

    def set_up(self, environment: str, release: str, settings: str) -> None:
        """Run `windlass setup` and give the hosts' services their settings."""
        done = self.windlass("setup", environment, "--release", release)
        assert done.returncode == 0, done.stderr
        found = {line.split()[0] for line in done.stdout.splitlines()}
        for name in found:
            self.machines[name].path("/var/lib/windlass/settings.env").write_text(settings)

    # ---- deploy.toml

    def write_inventory(self, environments: str) -> Path:
        """Write deploy.toml."""
        file = self.folder / "deploy.toml"
        file.write_text(environments)
        return file

    def environment(
        self, name: str, hosts: tuple[str, ...], *, bake: Mapping[str, object] | None = None,
        notify: Sequence[Mapping[str, object]] = (), **more: object,
    ) -> str:  # fmt: skip
        """The text of one environment of deploy.toml."""
        settings: dict[str, object] = {
            "deploy_key": str(self.keys / "deploy"), "signing_key": str(self.keys / "builder"),
            "store_key": str(self.keys / "store"), "window_s": 10, "start_timeout_s": 120,
            "builders": [self.public("builder")],
            "trusted_store_keys": [(self.keys / "store.pub").read_text().strip()],
            **more,
        }  # fmt: skip
        lines = table(f"[environments.{name}]", settings)
        lines += table(f"[environments.{name}.bake]", bake or {"seconds": 0})
        for host in hosts:
            entries = {"name": host, "address": self.machines[host].address,
                       "host_key": self.public("host")}  # fmt: skip
            lines += table(f"[[environments.{name}.hosts]]", entries)
        for one in notify:
            lines += table(f"[[environments.{name}.notify]]", one)
        return "\n".join([*lines, ""])

    def public(self, name: str) -> str:
        """A public key without its comment."""
        return " ".join((self.keys / f"{name}.pub").read_text().split()[:2])

    # ---- releases

    def release(self, commit: str, *changes: tuple[str, str, str], version: str = "1.0.0") -> str:
        """Put a release of this checkout into the deployer's store; returns its store path.

        Args:
            commit: forty hexadecimal digits, or fewer that are repeated.
            changes: a file, what stands there, and what stands there instead.
            version: of the release.
        """
        commit = (commit * 40)[:40]
        folder = self.folder / "releases" / f"windlass-{version}-{uuid.uuid4().hex[:4]}"
        for name in _NAMES:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name,
                                ignore=shutil.ignore_patterns("__pycache__"))  # fmt: skip
            else:
                shutil.copy(source, folder / name)
        for name, old, new in changes:
            file = folder / name
            text = file.read_text()
            assert old in text, f"{name} no longer has {old!r}"
            file.write_text(text.replace(old, new, 1))
        (folder / "release.json").write_text(json.dumps(
            {"version": version, "commit": commit, "time": "2026-01-01T00:00:00Z", "lock": "x"}
        ))  # fmt: skip
        self._add_program(folder)
        compileall.compile_dir(
            folder, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )
        return self.deployer.run("nix-store", "--add", str(folder)).strip()

    def _add_program(self, folder: Path) -> None:
        # The release finds itself: its path in the store is known only once it is there.
        program = folder / "bin" / "windlass"
        program.parent.mkdir()
        program.write_text(
            "#!/bin/sh\n"
            'here=$(dirname "$(dirname "$(readlink -f "$0")")")\n'
            f'PYTHONPATH=$here PYTHONNOUSERSITE=1 exec {shlex.quote(sys.executable)} -m app "$@"\n'
        )
        program.chmod(0o755)

    # ---- the tool

    def windlass(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run this checkout's windlass on the deployer, to its end."""
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, check=False,
            timeout=self.timeout_s, env=self._environ() | environ,
        )  # fmt: skip

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start windlass on the deployer; its standard output is a pipe."""
        with (self.folder / "deployer.log").open("ab") as log:
            process = subprocess.Popen(
                self.command(*words), stdout=subprocess.PIPE, stderr=log, text=True,
                env=self._environ(), start_new_session=True,
            )  # fmt: skip
        self.started.append(process)
        return process

    def end_started(self) -> None:
        """End what `start` has started, however a test left it, and close its pipes."""
        while self.started:
            kill(self.started.pop())

    def command(self, *words: str) -> tuple[str, ...]:
        """What runs windlass on the deployer."""
        return self.deployer.command(sys.executable, "-m", "app", *words)

    def _environ(self) -> dict[str, str]:
        measured = {name: os.environ[name] for name in os.environ if name.startswith("COVERAGE_")}
        return clean_environ() | measured | {
            "PYTHONPATH": str(ROOT), "WINDLASS_DEPLOY": str(self.folder / "deploy.toml"),
            "NO_COLOR": "1",
        }  # fmt: skip

    def status(self, environment: str) -> dict[str, Any]:
        """What `windlass status ENV --json` says."""
        done = self.windlass("status", environment, "--json")
        found: dict[str, Any] = json.loads(done.stdout or "{}")
        assert found, done.stderr
        return found

    def paths(self, environment: str) -> set[str]:
        """The releases that the hosts of an environment are set to."""
        return {one.get("path", one.get("error", "?")) for one in self.status(environment).values()}


def run(*words: str) -> str:
    """Run a command of the real machine."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{shlex.join(words)}: {done.stderr}"
    return done.stdout


def kill(process: subprocess.Popen[str]) -> None:
    """Kill what entered a namespace, windlass below it, and all that this has started; reap it."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    process.kill()
    process.communicate(timeout=60)


def table(title: str, entries: Mapping[str, object]) -> list[str]:
    """The lines of a table of TOML."""
    return [title, *(f"{key} = {toml(value)}" for key, value in entries.items())]


def toml(value: object) -> str:
    """A value as TOML has it; tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


class Load:
    """Requests to some hosts at a fixed rate, for as long as the block lasts; then `found`."""

    def __init__(self, site: Site, names: tuple[str, ...], rate_hz: float = 30.0) -> None:
        addresses = [site.machines[name].address for name in names]
        script = str(ROOT / "tests" / "release_load.py")
        self._argv = site.deployer.command(sys.executable, script, str(rate_hz), *addresses)
        self.found: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=clean_environ(),
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        try:
            output = self._process.communicate("", timeout=60)[0]
        except subprocess.TimeoutExpired:
            kill(self._process)
            raise
        self.found = json.loads(output)
