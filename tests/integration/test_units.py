"""The units of systemd: right, hardened, and the service runs under what they take away."""

from __future__ import annotations

import ctypes.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.release.host import install
from app.release.host.site import SiteConfig
from tests.support import ROOT, Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534
MOST_EXPOSED = 2.0
OF_RELEASE = ROOT / "nix" / "windlass.service"
WANTED = install.Installation(
    "/var/lib/windlass", "windlass", "/nix/store/release", [], "", [],
    SiteConfig("production", False, 5, 30, 120.0),  # noqa: FBT003 - as setup lays it down
)  # fmt: skip
UNITS = {
    "release": OF_RELEASE.read_text(),
    "setup": install.service_unit(WANTED),
    "guard": install.guard_unit(WANTED),
}
_LIMIT = (
    r"(?m)^(?:\w*System\w*|\w*Capabilit\w*|Restrict\w+|Protect\w*|Private\w*|NoNew\w*|Memory\w*|"
    r"StartLimit\w*|Lock\w*|Remove\w*|Keyring\w*|Device\w*)=.*$"
)
ANALYSER = shutil.which("systemd-analyze") or ""
needs_analyser = pytest.mark.skipif(not ANALYSER, reason="systemd-analyze is not installed")


def analyse(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (ANALYSER, *words), capture_output=True, text=True, check=False, timeout=60
    )


@needs_analyser
@pytest.mark.parametrize("name", UNITS)
def test_unit_is_hardened(tmp_path: Path, name: str) -> None:
    file = tmp_path / "windlass.service"
    file.write_text(UNITS[name])
    done = analyse("security", "--offline=true", "--threshold=20", str(file))
    assert done.returncode == 0, done.stdout[-300:]
    exposure = re.search(r"exposure level for windlass\.service: ([\d.]+)", done.stdout)
    assert exposure is not None
    assert float(exposure[1]) <= MOST_EXPOSED


@needs_analyser
@pytest.mark.parametrize("name", UNITS)
def test_unit_is_right(tmp_path: Path, name: str) -> None:
    file = tmp_path / "windlass.service"
    # The program of a release is not here.
    file.write_text(re.sub(r"=/\S+/bin/windlass ", "=/bin/true ", UNITS[name]))
    if name == "guard":
        file = file.rename(tmp_path / "windlass-guard.service")
    done = analyse("verify", "--man=no", str(file))
    assert (done.returncode, done.stderr) == (0, "")


def test_what_setup_lays_down_is_hardened_as_the_release_says() -> None:
    def limits(text: str) -> set[str]:
        return set(re.findall(_LIMIT, text))

    of_release = limits(UNITS["release"])
    assert limits(UNITS["setup"]) == limits(UNITS["guard"])
    assert of_release - limits(UNITS["setup"]) == {"PrivateUsers=yes"}
    assert limits(UNITS["setup"]) <= of_release


# ---- under the unit's filter of system calls

_SHOW = """
set -eu
# A user without rights may look at the interpreter, wherever it is.
aside=$(mktemp -d)
mount --bind "$1" "$aside"
mount -t tmpfs -o mode=755 tmpfs "$2"
mkdir -p "$1"
mount --bind "$aside" "$1"
shift 2
exec "$@"
"""


def as_nobody() -> tuple[str, ...]:
    """What runs a command as a user without rights; from root only, who else runs it himself."""
    if os.geteuid() != 0:
        return ()
    become = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
              "--inh-caps=-all", "--bounding-set=-all", "--")  # fmt: skip
    base = Path(sys.base_prefix)
    hidden = [folder for folder in reversed(base.parents) if not folder.stat().st_mode & 0o001]
    if not hidden:
        return become
    return ("unshare", "--mount", "sh", "-c", _SHOW, "sh", str(base), str(hidden[0]), *become)


def why_not() -> str:
    if not ANALYSER or ctypes.util.find_library("seccomp") is None:
        return "systemd-analyze and libseccomp are needed; apt install systemd"
    tried = (*as_nobody(), sys.executable, "-c", "import app.cli")
    done = subprocess.run(tried, capture_output=True, check=False, timeout=60, cwd=ROOT)
    return f"{tried[0]} cannot run Python without rights here" if done.returncode else ""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of a user without rights, under no other user's."""
    with tempfile.TemporaryDirectory(prefix="windlass-", dir="/tmp") as name:
        if os.geteuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)


@pytest.mark.timeout(300)
def test_stack_runs_under_the_units_filter(folder: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    unit = folder / "windlass.service"
    unit.write_text(UNITS["setup"])
    stack = Stack(folder / "state", {"HOME": str(folder), "START_TIMEOUT_S": "100"})
    inside = (*as_nobody(), sys.executable, str(ROOT / "tests" / "hardened.py"), str(unit),
              sys.executable, "-m", "app")  # fmt: skip

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            (*inside, *words), capture_output=True, text=True, check=False, timeout=120,
            cwd=folder, env=stack.environ,
        )  # fmt: skip

    try:
        done = run("up", "-d")
        assert done.returncode == 0, done.stderr
        assert stack.get("/").text == "Hello World!\n"
        done = run("reload")
        assert done.returncode == 0, done.stderr
        assert stack.get("/health").text == "OK\n"
    finally:
        run("down")
