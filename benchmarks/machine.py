"""What a measurement ran on: the machine, Python, the packages that matter, the commit.

A figure without these cannot be judged; every report starts with them.
"""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from app import identity

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parents[1]
_GIT_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Machine:
    """What a measurement ran on.

    Attributes:
        at: when it began, in UTC.
        cpu: name of the processor.
        cores: how many CPUs this process may use.
        memory_gib: memory of the machine.
        system: name and version of the kernel.
        python: implementation and version.
        packages: version of each package that matters.
        commit: of the checkout; ends in ", changed" where files differ from it.
    """

    at: str
    cpu: str
    cores: int
    memory_gib: float
    system: str
    python: str
    packages: dict[str, str]
    commit: str

    def rows(self) -> list[tuple[str, str]]:
        """The same as names and texts, for people."""
        packages = ", ".join(f"{name} {version}" for name, version in self.packages.items())
        return [
            ("begun", self.at),
            ("machine", f"{self.cpu}, {self.cores} CPUs, {self.memory_gib:.1f} GiB"),
            ("system", self.system),
            ("Python", self.python),
            ("packages", packages),
            ("commit", self.commit),
        ]


def describe(packages: Iterable[str]) -> Machine:
    """Describe this machine, and the packages by the names that their installer knows."""
    return Machine(
        at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages={name: metadata.version(name) for name in packages},
        commit=_commit(ROOT),
    )


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit(root: Path) -> str:
    commit = identity.identify(root).commit
    if commit == identity.NO_COMMIT:
        return "none: no checkout"
    command = ("git", "-c", f"safe.directory={root}", "-C", str(root), "status", "--porcelain")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return commit
    return f"{commit}, changed" if done.stdout.strip() else commit
