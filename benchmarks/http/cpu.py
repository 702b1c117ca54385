"""CPU time of processes, by the clock that the kernel keeps of each.

Such a clock (clock_getcpuclockid(3)) counts nanoseconds and keeps what threads have used that are
gone. Of children that are gone only `stat` tells, and only of those that were waited for, in
hundredths of a second: too coarse for half a second of load, but work cannot hide there.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable

_CPUCLOCK_SCHED = 2


def spent_s(processes: Iterable[psutil.Process]) -> float:
    """Seconds of CPU, user's and system's, that processes and all below them have used so far.

    Raises:
        psutil.NoSuchProcess: one of them has ended.
    """
    spent = 0.0
    for process in processes:
        # Children first: what one has used that ends meanwhile is then in its parent's account.
        for child in reversed(process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                spent += _of_one(child)
        spent += _of_one(process)
    return spent


def own_s(pid: int) -> float:
    """Seconds of CPU that a process has used so far, without what is below it; takes microseconds.

    Raises:
        psutil.NoSuchProcess: it has ended.
    """
    try:
        return time.clock_gettime(_clock_of(pid))
    except OSError as error:
        raise psutil.NoSuchProcess(pid) from error


def _of_one(process: psutil.Process) -> float:
    """What a process, and the children that it has waited for, have used."""
    gone = process.cpu_times()
    return float(own_s(process.pid) + gone.children_user + gone.children_system)


def _clock_of(pid: int) -> int:
    """The kernel's number of the CPU clock of all threads of a process."""
    return ~pid << 3 | _CPUCLOCK_SCHED
