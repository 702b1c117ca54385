"""The peers' own virtual environment: `.venv-peers` at the checkout's root.

It is made from a lock with hashes when it is first needed, and anew when the lock or this Python
has changed. The product's environment knows nothing of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from benchmarks.machine import ROOT
from benchmarks.peers.session import UnmeasuredError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.progress import Progress

LOCK_FILE = Path(__file__).with_name("requirements.txt")
FOLDER = ROOT / ".venv-peers"
_STAMP = "peers.stamp"
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ \\]+)", re.MULTILINE)
_END_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment that has what the peers need.

    Attributes:
        python: its interpreter.
        versions: version of each package of the lock.
    """

    python: Path
    versions: dict[str, str]

    def program(self, name: str) -> Path:
        """The path of a command that a package brings."""
        return self.python.with_name(name)


def provide(progress: Progress, folder: Path = FOLDER, lock_file: Path = LOCK_FILE) -> Environment:
    """Return the environment, made first where it is missing or old.

    Raises:
        UnmeasuredError: the packages cannot be installed; carries pip's words.
    """
    lock = lock_file.read_text(encoding="utf-8")
    environment = Environment(folder / "bin" / "python", dict(_PINNED.findall(lock)))
    with _exclusively(folder.with_name(f"{folder.name}.lock")):
        stamp = folder / _STAMP
        wanted = hashlib.sha256(f"{sys.version}\n{lock}".encode()).hexdigest()
        if not stamp.is_file() or stamp.read_text(encoding="ascii") != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, symlinks=True, with_pip=False)
            _install(environment, lock_file, progress)
            stamp.write_text(wanted, encoding="ascii")  # last: without it, it is half made
    return environment


def _install(environment: Environment, lock_file: Path, progress: Progress) -> None:
    # This environment's pip installs into the other, which so needs none.
    command = (sys.executable, "-m", "pip", "--python", str(environment.python), "install",
               "--no-deps", "--require-hashes", "--only-binary", ":all:", "--progress-bar", "off",
               "--disable-pip-version-check", "--requirement", str(lock_file))  # fmt: skip
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        with (
            progress.steps("installing .venv-peers", len(environment.versions)) as step,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as pip,
        ):
            for line in pip.stdout or ():
                if line.startswith("Collecting "):
                    step()
            status = pip.wait(_END_TIMEOUT_S)
        if status != 0:
            raise UnmeasuredError(
                f"the peers' packages cannot be installed; is the package index reachable?\n"
                f"{_last_words(errors)}"
            )


def _last_words(errors: IO[str]) -> str:
    errors.seek(0)
    return "\n".join(errors.read().splitlines()[-5:])


@contextmanager
def _exclusively(path: Path) -> Iterator[None]:
    """Two commands at once must not make the environment twice."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
