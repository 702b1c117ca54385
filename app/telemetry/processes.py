"""What the kernel tells of a process (proc(5)), asked for when somebody wants to know."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from app.telemetry import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.telemetry.exposition import Sample

_UTIME, _STIME, _CUTIME, _CSTIME, _STARTTIME, _VSIZE, _RSS = 11, 12, 13, 14, 19, 20, 21
"""Places in /proc/PID/stat after the name, which may hold anything."""


def samples(pid: int, name: str) -> Iterator[Sample]:
    """The customary metrics of a process; none where it is gone.

    Args:
        pid: of the process.
        name: for the label `process`.
    """
    labels = (("process", name),)
    fields = _stat(pid)
    if fields is None:
        return
    ticks = os.sysconf("SC_CLK_TCK")
    cpu_s = (int(fields[_UTIME]) + int(fields[_STIME])) / ticks
    yield catalogue.PROCESS_CPU, labels, cpu_s
    yield catalogue.PROCESS_RESIDENT, labels, float(int(fields[_RSS]) * os.sysconf("SC_PAGE_SIZE"))
    yield catalogue.PROCESS_VIRTUAL, labels, float(fields[_VSIZE])
    yield catalogue.PROCESS_START, labels, _booted() + int(fields[_STARTTIME]) / ticks
    try:
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - only counted
        limits = Path(f"/proc/{pid}/limits").read_text()
    except OSError:
        return
    yield catalogue.PROCESS_FDS, labels, float(descriptors)
    line = next((line for line in limits.splitlines() if line.startswith("Max open files")), "")
    soft = line.removeprefix("Max open files").split()[:1]
    if soft and soft[0].isdecimal():
        yield catalogue.PROCESS_MAX_FDS, labels, float(soft[0])


def samples_of_children(pid: int, name: str) -> Iterator[Sample]:
    """CPU time and memory of what a process has started; of those that have ended, the time.

    Args:
        pid: of the process, whose children are not seen by themselves.
        name: for the label `process`.
    """
    labels = (("process", name),)
    fields = _stat(pid)
    if fields is None:
        return
    living = [found for child in _children(pid) if (found := _stat(child)) is not None]
    times = [fields[_CUTIME], fields[_CSTIME]]
    times += [each[place] for each in living for place in (_UTIME, _STIME, _CUTIME, _CSTIME)]
    resident = sum(int(each[_RSS]) for each in living)
    yield catalogue.PROCESS_CPU, labels, sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
    yield catalogue.PROCESS_RESIDENT, labels, float(resident * os.sysconf("SC_PAGE_SIZE"))


def resident_bytes(pid: int) -> int | None:
    """Resident memory of a process; None where it is gone."""
    fields = _stat(pid)
    return None if fields is None else int(fields[_RSS]) * os.sysconf("SC_PAGE_SIZE")


def _children(pid: int) -> list[int]:
    """Those of its main thread; none where the kernel does not tell."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


@cache
def _booted() -> float:
    """When this machine came up, in seconds since the epoch."""
    try:
        lines = Path("/proc/stat").read_text().splitlines()
    except OSError:
        return 0.0
    return float(next((line.split()[1] for line in lines if line.startswith("btime ")), 0))
