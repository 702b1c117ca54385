"""CPU time of processes.

The scheduler's own account is exact to the nanosecond; `stat` counts in hundredths of a second,
which is too coarse for half a second of load.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psutil

_NS = 1e-9


def spent_s(processes: Iterable[psutil.Process]) -> float:
    """Seconds of CPU, user's and system's, that processes and all below them have used so far.

    Raises:
        psutil.NoSuchProcess: one of them has ended.
    """
    return sum(
        _of_one(each)
        for process in processes
        for each in (process, *process.children(recursive=True))
    )


def is_exact() -> bool:
    """Whether the kernel keeps the scheduler's account."""
    return Path("/proc/self/schedstat").is_file()


def _of_one(process: psutil.Process) -> float:
    try:
        threads = [each / "schedstat" for each in Path(f"/proc/{process.pid}/task").iterdir()]
        return sum(int(file.read_text(encoding="ascii").split()[0]) for file in threads) * _NS
    except (FileNotFoundError, ProcessLookupError):
        times = process.cpu_times()
        return float(times.user + times.system)
