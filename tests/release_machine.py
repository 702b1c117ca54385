"""The first process of a test's machine: a root of its own, sshd, Nix's daemon, and units.

Started in namespaces of its own for mounts, processes and the network. What it writes goes to a
folder of the test, laid over the real root, so that nothing of the real machine changes; the folder
is the machine's disk and outlasts it. To kill this process is to pull the plug.

Of systemd it knows what `windlass setup` uses: it starts units that are enabled, by their own text,
and again when they end. `systemctl` is a small command of its own.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

UNITS = Path("/etc/systemd/system")
WANTED = UNITS / "multi-user.target.wants"
SYSTEMCTL = """#!/bin/sh
# systemctl as far as windlass setup uses it; the machine's first process looks at the links.
verb=$1; shift
for last; do :; done
case $verb in
is-enabled) test -e /etc/systemd/system/multi-user.target.wants/"${last%.service}".service ;;
enable) mkdir -p /etc/systemd/system/multi-user.target.wants
    ln -sf ../"${last%.service}".service /etc/systemd/system/multi-user.target.wants/ ;;
try-restart) touch /run/restart-"$last" ;;
daemon-reload) ;;
*) echo "no such verb: $verb" >&2; exit 1 ;;
esac
"""
MS_REC, MS_PRIVATE, MS_BIND = 0x4000, 1 << 18, 0x1000
MNT_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    done = _libc.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode())
    if done != 0:
        raise OSError(ctypes.get_errno(), f"mount {kind} on {target}")


def enter(disk: Path) -> None:
    """Make the machine's root of the real one and its disk, and go there."""
    mount("none", "/", "none", MS_REC | MS_PRIVATE)
    for name in ("upper", "work", "root"):
        (disk / name).mkdir(parents=True, exist_ok=True)
    root = disk / "root"
    layers = f"lowerdir=/,upperdir={disk}/upper,workdir={disk}/work"
    mount("overlay", str(root), "overlay", 0, layers)
    mount("proc", str(root / "proc"), "proc")
    mount("/dev", str(root / "dev"), "none", MS_BIND | MS_REC)
    mount("tmpfs", str(root / "run"), "tmpfs")
    # Another boot of the same kernel: what tells boots apart is what windlass reads, too.
    boot = root / "run" / "boot_id"
    boot.write_text(f"{uuid.uuid4()}\n")
    mount(str(boot), str(root / "proc/sys/kernel/random/boot_id"), "none", MS_BIND)
    become_root(root)


def become_root(root: Path) -> None:
    """Make a folder the root of this namespace itself: Nix goes back to that, past any chroot."""
    os.chdir(root)
    (root / ".old").mkdir(exist_ok=True)
    if _libc.pivot_root(b".", b".old") != 0:
        raise OSError(ctypes.get_errno(), "pivot_root")
    os.chdir("/")
    if _libc.umount2(b"/.old", MNT_DETACH) != 0:
        raise OSError(ctypes.get_errno(), "umount of the old root")


def prepare() -> None:
    """What a fresh server has: Nix with a store of its own, sshd with its keys."""
    for folder in ("/nix/store", "/nix/var/nix", "/etc/nix", "/run/sshd", str(WANTED)):
        Path(folder).mkdir(parents=True, exist_ok=True)
    Path("/nix/store").chmod(0o1775)
    restrict_nix()
    # The interpreter of the tests may be where only root looks; so only on this machine's own disk.
    for interpreter in (Path(sys.executable), Path(sys.executable).resolve()):
        for parent in interpreter.parents:
            parent.chmod(parent.stat().st_mode | 0o055)
    conf = Path("/etc/nix/nix.conf")
    if not conf.exists():
        conf.write_text("build-users-group =\nsandbox = false\nsubstituters =\n")
    program = Path("/usr/local/bin/systemctl")
    program.write_text(SYSTEMCTL)
    program.chmod(0o755)


def restrict_nix() -> None:
    """Have Nix' daemon answer a group alone, as Debian's nix-setup-systemd does it."""
    subprocess.run(("groupadd", "--force", "--system", "nix-users"), check=True, timeout=30)
    folder = Path("/nix/var/nix/daemon-socket")
    folder.mkdir(exist_ok=True)
    shutil.chown(folder, "root", "nix-users")
    folder.chmod(0o770)


def groups_of(user: str) -> list[int]:
    """Whatever groups a user is in, as systemd gives them to a service."""
    return os.getgrouplist(user, pwd.getpwnam(user).pw_gid)


class Unit:
    """A program that is started again when it ends."""

    def __init__(
        self, name: str, argv: list[str], user: str, environ: dict[str, str], umask: int = 0o022
    ) -> None:
        self.name, self.argv, self.user, self.environ = name, argv, user, environ
        self.umask = umask
        self.process: subprocess.Popen[bytes] | None = None
        self.next_start = 0.0

    @classmethod
    def read(cls, path: Path) -> Unit:
        found: dict[str, list[str]] = {}
        for line in path.read_text().splitlines():
            key, is_pair, text = line.partition("=")
            if is_pair:
                found.setdefault(key, []).append(text)
        environ = dict(text.split("=", 1) for text in found.get("Environment", []))
        return cls(
            path.stem, shlex.split(found["ExecStart"][0]), found["User"][0], environ,
            int(found["UMask"][0], 8),
        )  # fmt: skip

    def keep_up(self) -> None:
        if self.process is not None and self.process.poll() is None:
            return
        if time.monotonic() < self.next_start:
            return
        self.next_start = time.monotonic() + 1.0
        log = open(f"/var/log/{self.name}.log", "ab")  # noqa: SIM115, PTH123
        environ = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **self.environ}
        try:
            self.process = subprocess.Popen(
                self.argv, user=self.user, group=self.user if self.user != "root" else None,
                extra_groups=groups_of(self.user),
                env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, cwd=self.environ.get("HOME", "/"), umask=self.umask,
            )  # fmt: skip
        except OSError as error:
            log.write(f"{error}\n".encode())
        finally:
            log.close()


def run() -> None:
    """Keep everything up, and reap what is left behind, until killed."""
    daemon = Unit("nix-daemon", ["nix-daemon", "--daemon"], "root", {})
    sshd = Unit("sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", "/etc/ssh/test_config"], "root", {})
    units: dict[str, Unit] = {}
    while True:
        for path in sorted(WANTED.glob("windlass*.service")):
            if path.stem not in units:
                units[path.stem] = Unit.read(path)
        asked = Path("/run/restart-nix-daemon")
        if asked.exists() and daemon.process:
            asked.unlink()
            daemon.process.kill()
        for unit in (daemon, sshd, *units.values()):
            unit.keep_up()
        reap({unit.process.pid for unit in (daemon, sshd, *units.values()) if unit.process})
        time.sleep(0.2)


def reap(ours: set[int]) -> None:
    """Reap orphans; what this started itself is reaped by its own record."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in ours:
            return
        os.waitpid(ended.si_pid, 0)


def main(disk: Path, name: str, store_bytes: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    enter(disk)
    if store_bytes:
        Path("/nix").mkdir(exist_ok=True)
        mount("tmpfs", "/nix", "tmpfs", 0, f"size={store_bytes}")
    prepare()
    socket.sethostname(name)
    Path("/run/machine-is-up").touch()
    run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
