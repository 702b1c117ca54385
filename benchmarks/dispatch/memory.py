"""Part 5: how much a fresh process grows while our solver solves the largest accepted problems.

The growth is that of the peak of resident memory (VmHWM of proc(5)). `getrusage` names the same
peak, but takes over that of the process from which one was started, which here is larger.

`python -m benchmarks.dispatch.memory FAMILY PLANTS SEED` prints the growth of its own, in bytes.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.dispatch import families
from benchmarks.dispatch.ours import solve
from benchmarks.dispatch.session import UnmeasuredError
from benchmarks.report import Section, Table

if TYPE_CHECKING:
    from benchmarks.dispatch.session import Session

WANTED_MB = 200
_TIMEOUT_S = 300
_PROCESS = Path("/proc/self")
_FORGET_PEAK = "5"


@dataclass(frozen=True, slots=True)
class Growth:
    """By how many bytes the peak of a family's process grew."""

    family: str
    plants: int
    growth_bytes: int


def measure(session: Session) -> Section:
    """Solve one problem of every family, each in a process of its own."""
    plants, found = session.effort.memory_plants, []
    with session.progress.steps("memory", len(families.FAMILIES)) as step:
        for family in families.FAMILIES:
            found.append(Growth(family, plants, _growth_apart(family, plants, session.seed_of(0))))
            step()
    most = max(found, key=lambda growth: growth.growth_bytes)
    missed = most.growth_bytes > WANTED_MB * 1e6
    notes = [
        (
            f"Growth of the peak of resident memory of a fresh process that solves one problem "
            f"of {plants:,} plants. The most: {_mb(most.growth_bytes)} ({most.family}); wanted: "
            f"at most {WANTED_MB} MB, {'not reached' if missed else 'reached'}."
        )
    ]
    rows = [(growth.family, _mb(growth.growth_bytes)) for growth in found]
    data = {"wanted_mb": WANTED_MB, "families": found}
    return Section("memory", "Memory", notes, [Table(("family", "growth"), rows)], data)


def growth_here(family: str, plants: int, seed: int) -> int:
    """Solve one problem and return by how many bytes the peak of this process grew."""
    problem = families.draw(family, plants, seed)
    gc.collect()
    (_PROCESS / "clear_refs").write_text(_FORGET_PEAK, encoding="ascii")
    before = _peak_bytes()
    solve(problem)
    return _peak_bytes() - before


def _growth_apart(family: str, plants: int, seed: int) -> int:
    command = (sys.executable, "-m", __name__, family, str(plants), str(seed))
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
        )
    except subprocess.TimeoutExpired as error:
        raise UnmeasuredError(f"{' '.join(command)} did not end in {_TIMEOUT_S} s") from error
    except subprocess.CalledProcessError as error:
        raise UnmeasuredError(f"{' '.join(command)} failed:\n{error.stderr}") from error
    return int(done.stdout)


def _peak_bytes() -> int:
    for line in (_PROCESS / "status").read_text(encoding="ascii").splitlines():
        name, _, text = line.partition(":")
        if name == "VmHWM":
            return int(text.split()[0]) * 1024
    raise UnmeasuredError("/proc/self/status names no VmHWM; memory is measured on Linux only")


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


if __name__ == "__main__":
    print(growth_here(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
