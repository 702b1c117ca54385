"""The tools' own virtual environment: `.venv-security`, made from a lock with hashes when needed.

The product's environment, and the one for developing, know nothing of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import venv
from typing import TYPE_CHECKING

from pipeline.jobs import ROOT, PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOCK_FILE = ROOT / "requirements-security.txt"
FOLDER = ROOT / ".venv-security"
_STAMP = "security.stamp"
_INSTALL_TIMEOUT_S = 600


def provide(say: Callable[[str], None], folder: Path = FOLDER, lock_file: Path = LOCK_FILE) -> Path:
    """Return the folder of the tools' programs, made first where it is missing or old.

    Raises:
        PipelineError: the packages cannot be installed; carries pip's last words.
    """
    lock = lock_file.read_bytes()
    wanted = hashlib.sha256(sys.version.encode() + lock).hexdigest()
    stamp = folder / _STAMP
    with folder.with_name(f"{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # two at once must not make it twice
        if not stamp.is_file() or stamp.read_text(encoding="ascii") != wanted:
            say(f"making {folder.name} from {lock_file.name}")
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, symlinks=True, with_pip=False)
            _install(folder / "bin" / "python", lock_file)
            stamp.write_text(wanted, encoding="ascii")  # last: without it, it is half made
    return folder / "bin"


def _install(python: Path, lock_file: Path) -> None:
    command = (sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet",
               "--no-deps", "--require-hashes", "--only-binary", ":all:",
               "--disable-pip-version-check", "--requirement", str(lock_file))  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=_INSTALL_TIMEOUT_S
    )
    if done.returncode:
        last = "\n".join(done.stderr.splitlines()[-5:])
        raise PipelineError(
            f"the tools of security cannot be installed; is the package index reachable?\n{last}"
        )
