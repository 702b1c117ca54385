"""Memory over time at half load, with upgrades inside: flat, or a slope within its own noise."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
from scipy import stats

from benchmarks.chaos.plot import Mark
from benchmarks.chaos.site import Site, site
from benchmarks.chaos.traffic import traffic
from benchmarks.chaos.verdicts import Outcome, Verdict, none_failed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RATE_HZ = 250.0
LOOK_S = 0.5
WARM_UP_SHARE = 0.2
_DRAINED_S = 3.0
MOST_GROWTH = 0.02
"""The share of its memory by which a stack may seem to grow over the whole run; less than this the
kernel's own account wavers by."""


@dataclass(frozen=True, slots=True)
class Trend:
    """A straight line through samples.

    Attributes:
        slope: the median of all slopes between two samples (Theil and Sen), units a second.
        low: and `high`: between which it is with 95 % confidence, samples taken as independent.
        least_squares: the slope of the least squares, for comparison.
        middle: the median of the samples.
        growth: by which share of the middle the line rises over the samples' time.
    """

    slope: float
    low: float
    high: float
    least_squares: float
    middle: float
    growth: float


def run(is_long: bool) -> Outcome:  # noqa: FBT001 - the one argument of every fault
    """Sample the memory of the whole stack under load, with upgrades."""
    seconds, upgrades = (1200.0, 20) if is_long else (24.0, 2)
    marks: list[Mark] = []
    samples: list[tuple[float, dict[str, float]]] = []
    with site() as stack, traffic(stack, RATE_HZ) as sent:
        begun = time.monotonic()
        due = [begun + seconds * (number + 0.5) / upgrades for number in range(upgrades)]
        while (now := time.monotonic()) < begun + seconds:
            samples.append((now - begun, _memory(stack)))
            if due and now >= due[0]:
                due.pop(0)
                stack.windlass("reload")
                marks.append(Mark(f"upgrade {len(marks) + 1}", now, time.monotonic()))
            time.sleep(LOOK_S)
    calm = [
        (at, sizes)
        for at, sizes in samples
        if at >= seconds * WARM_UP_SHARE and not _two_generations(marks, at + begun)
    ]
    found = trend([(at, sum(sizes.values())) for at, sizes in calm])
    programs = {
        name: trend([(at, sizes.get(name, 0.0)) for at, sizes in calm])
        for name in sorted({name for _, sizes in calm for name in sizes})
    }
    notes = [_told(programs)]
    if not is_long:
        notes.append("The short form is too short to tell a slow leak; its limit is a gross one.")
    return Outcome(
        [judge(found, 1 if is_long else 5),
         Verdict("every upgrade takes place", f"{len(marks)} of {upgrades}",
                 kept=len(marks) == upgrades),
         *none_failed(sent.record)],
        sent.record, {"trend": found, "programs": programs, "samples": samples}, marks, notes,
    )  # fmt: skip


def _two_generations(marks: list[Mark], at: float) -> bool:
    """Whether old and new workers both count at a time, which is no growth."""
    return any(mark.begin <= at <= mark.end + _DRAINED_S for mark in marks)


def trend(samples: Sequence[tuple[float, float]]) -> Trend:
    """The trend of samples of seconds and bytes, at least three of them."""
    at, sizes = np.array(samples).T
    line = stats.theilslopes(sizes, at)
    middle = float(np.median(sizes))
    return Trend(
        float(line.slope), float(line.low_slope), float(line.high_slope),
        float(stats.linregress(at, sizes).slope), middle,
        float(line.slope * (at[-1] - at[0]) / middle) if middle else 0.0,
    )  # fmt: skip


def judge(found: Trend, times: float = 1) -> Verdict:
    """Whether memory is flat: no slope beyond its noise, or a growth too small to matter.

    Args:
        found: the trend.
        times: by which the limit of growth is multiplied.
    """
    per_minute = 60 / 2**20
    return Verdict(
        f"memory is flat: its slope may be 0, or makes less than {100 * times * MOST_GROWTH:.0f} % "
        "over the run",
        f"{found.slope * per_minute:+.2f} MiB a minute ({found.low * per_minute:+.2f} to "
        f"{found.high * per_minute:+.2f}), {100 * found.growth:+.1f} % of "
        f"{found.middle / 2**20:.0f} MiB over the run",
        kept=found.low <= 0 or found.growth <= times * MOST_GROWTH,
    )


def _told(programs: Mapping[str, Trend]) -> str:
    """How much of the growth is whose."""
    parts = [f"{name} {found.slope * 60 / 2**20:+.2f} of {found.middle / 2**20:.0f} MiB"
             for name, found in programs.items()]  # fmt: skip
    return f"By program, a minute: {', '.join(parts)}."


def _memory(stack: Site) -> dict[str, float]:
    """Memory of the stack's processes, by program, bytes: their share of what no file holds.

    Pages of files are left out: how many of other processes share them changes by itself.
    """
    found: dict[str, float] = {}
    for process in stack.processes():
        with contextlib.suppress(psutil.Error, OSError):
            rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
            sizes = dict(line.split(":", 1) for line in rollup.splitlines()[1:])
            kib = sum(int(sizes[name].split()[0]) for name in ("Pss_Anon", "Pss_Shmem"))
            name = _program(process)
            found[name] = found.get(name, 0.0) + 1024.0 * kib
    return found


def _program(process: psutil.Process) -> str:
    words = process.cmdline()
    for word, program in (
        ("app.stack.supervisord", "supervisord"),
        ("serve", "web"),
        ("up", "up"),
    ):
        if word in words:
            return program
    return str(process.name())
