"""What `windlass setup` lays down on a server; run there by root, as often as one likes.

Each step says what it would change and does nothing where nothing is to be changed. What the
service runs as, and what the deploy key can reach, is an ordinary user without rights: it cannot
become root, cannot put an unsigned path into the store, and owns nothing but some folders of its
own. What says whose keys and signatures count is root's. The log files are read by a group of
their own, `USER-log`, whose members may do nothing else here.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from app.errors import ReleaseError
from app.release import argv
from app.release.host.gate import APPROVER
from app.release.host.site import Site, SiteConfig, write_durably

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.release.shell import Shell

UNITS = Path("/etc/systemd/system")
# What neither the service nor the guard needs, taken away; nix/windlass.service says the same. It
# also has PrivateUsers, which would keep the guard from seeing the service's processes.
_HARDENING = (
    "NoNewPrivileges=yes", "CapabilityBoundingSet=", "AmbientCapabilities=",
    "SystemCallArchitectures=native", "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources @obsolete", "SystemCallFilter=@chown",
    "SystemCallErrorNumber=EPERM", "MemoryDenyWriteExecute=yes",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX", "RestrictNamespaces=yes",
    "RestrictRealtime=yes", "RestrictSUIDSGID=yes", "LockPersonality=yes", "RemoveIPC=yes",
    "KeyringMode=private", "DevicePolicy=closed", "PrivateDevices=yes", "PrivateTmp=yes",
    "ProtectClock=yes", "ProtectControlGroups=yes", "ProtectHome=yes", "ProtectHostname=yes",
    "ProtectKernelLogs=yes", "ProtectKernelModules=yes", "ProtectKernelTunables=yes",
    "ProtectProc=invisible", "ProtectSystem=strict",
)  # fmt: skip
NIX_CONF = Path("/etc/nix/nix.conf")
NIX_SOCKET = Path("/nix/var/nix/daemon-socket")
_BEGIN, _END = "# windlass: begin", "# windlass: end"
_TIMEOUT_S = 120.0
_ROOT = "root"


class Installation(msgspec.Struct):
    """All that a server is told at its setup.

    Attributes:
        base: folder of the host's records, the home of the user.
        release: store path whose code is the first agent.
        deploy_keys: public keys that the forced command is for.
        signers: the file of those whose signatures count.
        store_keys: public keys of Nix whose signature lets a store path in.
        approvers: names and public keys of those who may look here and approve.
    """

    base: str
    user: str
    release: str
    deploy_keys: list[str]
    signers: str
    store_keys: list[str]
    config: SiteConfig
    approvers: list[tuple[str, str]] = []


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is to be so.

    Attributes:
        what: as people read it.
        is_so: whether it is already.
        make: makes it so.
    """

    what: str
    is_so: Callable[[], bool]
    make: Callable[[], object]


def install(wanted: Installation, shell: Shell, *, dry_run: bool) -> Iterator[tuple[str, bool]]:
    """Make a server ready, step by step.

    Yields:
        each step, and whether it changed something, or would.

    Raises:
        ReleaseError: this is not root, or there is no Nix.
    """
    if os.geteuid() != 0:
        raise ReleaseError("windlass host install needs root; let `admin` in deploy.toml be root")
    if shutil.which("nix-store", path=shell.environ.get("PATH")) is None:
        raise ReleaseError("There is no nix-store; install Nix: " + HOW_TO_GET_NIX)
    for step in _steps(wanted, shell):
        if step.is_so():
            yield step.what, False
        else:
            if not dry_run:
                step.make()
            yield step.what, True


HOW_TO_GET_NIX = (
    "on Debian and Ubuntu, apt install nix-setup-systemd; elsewhere the installer of nixos.org "
    "with --daemon"
)


def service_unit(wanted: Installation) -> str:
    """The unit of the service."""
    return _unit(
        wanted, "The service that windlass deploys", "run",
        ["After=network-online.target nix-daemon.socket", "Wants=network-online.target"],
        # supervisord ends what it runs, in order, and takes its time. The group of a file reads it:
        # the user's own, which nobody else is in, and of the log files that of `log_group`.
        # Who lacks memory loses one process, which is started anew, and not the service.
        ["KillMode=mixed", "OOMPolicy=continue", "TimeoutStopSec=90", "UMask=0027"],
    )  # fmt: skip


def guard_unit(wanted: Installation) -> str:
    """The unit of the guard, which takes back what nobody confirms."""
    return _unit(wanted, "Takes unconfirmed releases back", "guard", ["After=windlass.service"],
                 ["UMask=0077"])  # fmt: skip


def _unit(
    wanted: Installation, description: str, word: str, order: list[str], more: list[str]
) -> str:
    lines = [
        "[Unit]", f"Description={description}", *order, "StartLimitIntervalSec=0", "",
        "[Service]", f"User={wanted.user}", f"Environment=HOME={wanted.base}",
        f"WorkingDirectory={wanted.base}",
        f"ExecStart={wanted.base}/links/agent/bin/windlass host --base {wanted.base} {word}",
        "Restart=always", "RestartSec=1", "LimitNOFILE=65536",
        *_HARDENING, f"ReadWritePaths={wanted.base}", *more, "",
        "[Install]", "WantedBy=multi-user.target", "",
    ]  # fmt: skip
    return "\n".join(lines)


def log_group(wanted: Installation) -> str:
    """The group whose members may read the log files."""
    return f"{wanted.user}-log"


def group_of_nix(folder: Path = NIX_SOCKET) -> str:
    """The group whose members alone reach Nix' daemon, as Debian has it; empty where anybody may.

    Root's own group is none that a user could be put into for that.

    Raises:
        ReleaseError: the group is none that this machine knows by a name.
    """
    try:
        found = folder.stat()
    except FileNotFoundError:
        return ""
    anybody = found.st_mode & stat.S_IXOTH
    members = found.st_mode & stat.S_IXGRP and found.st_gid != 0
    if not members or anybody:
        return ""
    try:
        return grp.getgrgid(found.st_gid).gr_name
    except KeyError as error:
        raise ReleaseError(
            f"{folder} can be entered by the group {found.st_gid} alone, which has no name on this "
            "machine; give it one (groupadd), or the folder another group (chgrp)"
        ) from error


def authorized_keys(wanted: Installation) -> str:
    """The keys that open this host, each for its forced command only.

    sshd takes the first line of a key, so each key has one: who may do less comes first.
    """
    command = f"{wanted.base}/links/agent/bin/windlass host --base {wanted.base} gate"
    forced: dict[str, str] = {}
    for name, key in wanted.approvers:
        forced.setdefault(key, f"{command} --as={name} --role={APPROVER}")
    for key in wanted.deploy_keys:
        forced.setdefault(key, command)
    return "".join(f'restrict,command="{text}" {key}\n' for key, text in forced.items())


def _steps(wanted: Installation, shell: Shell) -> Iterator[Step]:
    base = Path(wanted.base)
    site = Site(base)
    group = group_of_nix()
    yield Step(
        f"user {wanted.user}",
        lambda: _has_user(wanted.user),
        lambda: shell.run(
            ("useradd", "--system", "--home-dir", wanted.base, "--shell", "/bin/sh", "--user-group",
                # No password opens it; unlike a locked account, a key may.
                "--password", "*",
             wanted.user), timeout_s=_TIMEOUT_S,
        ),
    )  # fmt: skip
    if group:
        yield Step(
            f"user {wanted.user} in group {group}, which Nix' daemon answers",
            lambda: wanted.user in grp.getgrnam(group).gr_mem,
            lambda: shell.run(
                ("usermod", "--append", "--groups", group, wanted.user), timeout_s=_TIMEOUT_S
            ),
        )
    readers = log_group(wanted)
    yield Step(
        f"group {readers}",
        lambda: _has_group(readers),
        lambda: shell.run(("groupadd", "--system", readers), timeout_s=_TIMEOUT_S),
    )
    yield from _folders(site, wanted.user, readers)
    for path, content in (
        (base / "site.json", msgspec.json.encode(wanted.config)),
        (site.signers, wanted.signers.encode()),
        (base / ".ssh" / "authorized_keys", authorized_keys(wanted).encode()),
    ):
        yield _file(path, content, wanted.user)
    yield Step(
        f"settings {site.settings}",
        lambda: _is_policy(site.settings, wanted.user),
        lambda: _write(site.settings, _settings_or(wanted, site.settings), wanted.user),
    )
    yield Step(
        f"agent {wanted.release}",
        lambda: site.agent.is_symlink() and site.agent.exists(),
        lambda: _as_user(shell, wanted, argv.keep(site.agent, wanted.release)),
    )
    yield from _nix_steps(wanted, shell)
    for name, text in (("windlass", service_unit(wanted)), ("windlass-guard", guard_unit(wanted))):
        yield from _unit_steps(name, text, shell)


def _folders(site: Site, user: str, readers: str) -> Iterator[Step]:
    """The folders; others pass through those above the logs, and see nothing there."""
    # Read by the user, changed by root: sshd reads keys as the user, too.
    yield _folder(site.base, _ROOT, user, 0o751)
    yield _folder(site.base / ".ssh", _ROOT, user, 0o750)
    for folder in (site.links, site.record, site.releases):
        yield _folder(folder, user, user, 0o700)
    yield _folder(site.stack, user, user, 0o711)
    # What is made there is of the folder's group, which the service could not give away itself.
    yield _folder(site.logs, user, readers, 0o2750)


def _nix_steps(wanted: Installation, shell: Shell) -> Iterator[Step]:
    text = NIX_CONF.read_text() if NIX_CONF.exists() else ""
    lines = [_BEGIN, "require-sigs = true", "trusted-users = root",
             f"extra-trusted-public-keys = {' '.join(wanted.store_keys)}", _END]  # fmt: skip
    block = "\n".join([*lines, ""])

    def make() -> None:
        before, _, rest = text.partition(_BEGIN)
        after = rest.partition(f"{_END}\n")[2]
        NIX_CONF.parent.mkdir(exist_ok=True)
        write_durably(NIX_CONF, f"{before.rstrip()}\n{block}{after}".encode(), 0o644)
        # Asks nothing of a machine whose Nix is run by something else.
        shell.attempt(("systemctl", "try-restart", "nix-daemon"), timeout_s=_TIMEOUT_S)

    yield Step(f"signed paths only ({NIX_CONF})", lambda: block in text, make)


def _unit_steps(name: str, text: str, shell: Shell) -> Iterator[Step]:
    path = UNITS / f"{name}.service"

    def make() -> None:
        write_durably(path, text.encode(), 0o644)
        shell.run(("systemctl", "daemon-reload"), timeout_s=_TIMEOUT_S)

    yield Step(f"unit {path}", lambda: _holds(path, text.encode()), make)
    yield Step(
        f"{name} starts with the machine",
        lambda: shell.attempt(("systemctl", "is-enabled", "-q", name), timeout_s=30.0).code == 0,
        lambda: shell.run(("systemctl", "enable", "--now", name), timeout_s=_TIMEOUT_S),
    )


def _folder(path: Path, owner: str, group: str, mode: int) -> Step:
    def make() -> None:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        shutil.chown(path, owner, group)

    return Step(
        f"folder {path}", lambda: path.is_dir() and _belongs(path, owner, group, mode), make
    )


def _file(path: Path, content: bytes, group: str) -> Step:
    """A file that root writes and the group reads."""
    return Step(
        f"file {path}",
        lambda: _holds(path, content) and _is_policy(path, group),
        lambda: _write(path, content, group),
    )


def _is_policy(path: Path, group: str) -> bool:
    return path.is_file() and _belongs(path, _ROOT, group, 0o640)


def _belongs(path: Path, owner: str, group: str, mode: int) -> bool:
    try:
        wanted = pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid, mode
    except KeyError:  # a trial on a server where the user is still to be made
        return False
    found = path.stat()
    return (found.st_uid, found.st_gid, found.st_mode & 0o7777) == wanted


def _write(path: Path, content: bytes, group: str) -> None:
    write_durably(path, content)
    shutil.chown(path, _ROOT, group)
    path.chmod(0o640)


def _settings_or(wanted: Installation, path: Path) -> bytes:
    """The settings that are there, else the first."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return f"ENVIRONMENT={wanted.config.environment}\n".encode()


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _has_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _as_user(shell: Shell, wanted: Installation, command: tuple[str, ...]) -> None:
    """Run a command as the service's user: what it makes is that user's own."""
    environ = {**shell.environ, "HOME": f"{wanted.base}/stack", "NIX_REMOTE": "daemon"}
    words = ("setpriv", f"--reuid={wanted.user}", f"--regid={wanted.user}", "--init-groups", "--")
    shell.run((*words, *command), timeout_s=_TIMEOUT_S, environ=environ)
