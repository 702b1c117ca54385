"""A second witness: how many instructions the synchronous micro benchmarks take, base and head.

The count is nearly the same each time, whatever else the machine does. It decides nothing: it knows
nothing of caches, of memory and of waiting. valgrind's callgrind counts; it writes its counts at
the marks of `benchmarks.micro.instructions`, one part for each benchmark. Where there is no
valgrind, the report says so.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Mapping  # noqa: TC003 - msgspec reads it
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.peers import launch
from benchmarks.peers.processes import Command

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.gate.arms import Arm, Arms

_REPETITIONS = 10
TIMEOUT_S = 75.0
_MARK = "getppid"
_TOTALS = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted.

    Attributes:
        by: the program that counted; empty where none could.
        base: instructions of one repetition, by benchmark.
        head: likewise.
        why_not: a sentence where nothing was counted.
    """

    by: str = ""
    base: Mapping[str, float] = field(default_factory=dict)
    head: Mapping[str, float] = field(default_factory=dict)
    why_not: str = ""

    def ratio(self, benchmark: str) -> float | None:
        """Head by base; None where either is missing."""
        if benchmark in self.base and benchmark in self.head:
            return self.head[benchmark] / self.base[benchmark]
        return None


def count(arms: Arms, names: Sequence[str], search_path: str) -> Counts:
    """Count instructions in both revisions, at the same time.

    Args:
        arms: both revisions.
        names: of micro benchmarks, with their kind.
        search_path: folders as in PATH.
    """
    valgrind = shutil.which("valgrind", path=search_path)
    if valgrind is None:
        return Counts(why_not="not available: there is no valgrind on PATH")
    if not names:
        return Counts(why_not="none of the benchmarks is synchronous")
    short = [name.partition("/")[2] for name in names]
    started = [
        _started(arm, valgrind, short, arms.scratch / f"callgrind-{arm.role}", search_path)
        for arm in (arms.base, arms.head)
    ]
    try:
        for process, _ in started:
            process.wait(TIMEOUT_S)
        base, head = (read(folder, names) for _, folder in started)
    except (subprocess.TimeoutExpired, ValueError, OSError) as error:
        return Counts(why_not=f"valgrind could not count: {error}")
    finally:
        for process, _ in started:
            process.kill()
            process.wait()
    return Counts("valgrind --tool=callgrind", base, head)


def _started(
    arm: Arm, valgrind: str, names: list[str], folder: Path, search_path: str
) -> tuple[subprocess.Popen[bytes], Path]:
    folder.mkdir()
    setarch = shutil.which("setarch", path=search_path)
    # Where things are in memory decides the order of some sets, and so some of the work.
    fixed = (setarch, platform.machine(), "-R") if setarch else ()
    argv = (
        *fixed, valgrind, "--tool=callgrind", f"--callgrind-out-file={folder}/out",
        f"--dump-before={_MARK}", "--quiet",
        str(arm.python), "-m", "benchmarks.micro.instructions", str(_REPETITIONS), *names,
    )  # fmt: skip
    command = Command(argv, {"PYTHONHASHSEED": "0"}, arm.root)
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            launch.argv(command.argv, None), env=command.whole_environ, cwd=arm.root,
            stdin=subprocess.DEVNULL, stdout=said, stderr=said,
        )  # fmt: skip
    return process, folder


def read(folder: Path, names: Sequence[str]) -> dict[str, float]:
    """Instructions of one repetition of each benchmark.

    Args:
        folder: has callgrind's parts: what came before the first mark, then one for each benchmark.
        names: in the order in which they ran.

    Raises:
        ValueError: there are not as many parts as benchmarks.
    """
    parts = sorted(folder.glob("out.*"), key=lambda file: int(file.suffix[1:]))
    if len(parts) != len(names) + 1:
        said = (folder / "said").read_text(errors="replace").strip().splitlines()
        raise ValueError(f"{len(parts)} parts for {len(names)} benchmarks; {' / '.join(said[-2:])}")
    counts = [_total(file) for file in parts[1:]]
    return {name: n / _REPETITIONS for name, n in zip(names, counts, strict=True)}


def _total(file: Path) -> int:
    found = _TOTALS.search(file.read_text(encoding="utf-8", errors="replace"))
    if not found:
        raise ValueError(f"{file.name} has no total")
    return int(found[1])
