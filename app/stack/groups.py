"""The process group of each program: recorded at its start, swept before the next.

supervisord gives every program a process group of its own, which a program's children share. A
group that outlives its leader, as Nginx's workers do when their master is killed, would hold ports
and memory; whoever starts the program next finds the record and ends what is left. The workers of a
killed master are left to serve until those of the next do.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import psutil

from app.files import write_whole
from app.proc import lives

if TYPE_CHECKING:
    from collections.abc import Sequence

_TERM_GRACE_S = 2.0
_KILL_GRACE_S = 5.0
_POLL_S = 0.02


class Group(msgspec.Struct):
    """A program's process group.

    Attributes:
        pgid: of the group, the pid of the program when it started.
        boot: the kernel's name for this boot of the machine; pids mean nothing after another.
        ticks: when the program started, in the kernel's ticks since that boot, which no setting of
            the clock moves.
        started: the same by the wall clock, seconds since the epoch, for people.
        user: numeric id of the user that ran it.
        starts: how often it was started since the stack came up.
        left: processes of an earlier start that still lived when this one began, as `_note` writes
            them.
    """

    pgid: int
    boot: str
    ticks: int
    started: float
    user: int
    starts: int = 1
    left: str = ""


def record_own(folder: Path, name: str, left: Sequence[psutil.Process] = ()) -> None:
    """Record this process, which leads its group, as the program `name`.

    Args:
        folder: of the records.
        name: of the program.
        left: of an earlier start, and living.
    """
    before = read(folder, name)
    group = Group(
        os.getpid(),
        _boot(),
        start_ticks(os.getpid()),
        time.time(),
        os.getuid(),
        before.starts + 1 if before else 1,
        _note(left),
    )
    write_whole(_file(folder, name), msgspec.json.encode(group))


def read(folder: Path, name: str) -> Group | None:
    """The group recorded for a program; None where there is none."""
    try:
        return msgspec.json.decode(_file(folder, name).read_bytes(), type=Group)
    except (OSError, msgspec.MsgspecError):
        return None


def recorded(folder: Path) -> list[str]:
    """The names of the programs that have a record."""
    return sorted(path.stem for path in folder.glob("*.group"))


def forget(folder: Path, name: str) -> None:
    """Remove a program's record."""
    _file(folder, name).unlink(missing_ok=True)


def sweep(folder: Path, name: str) -> list[int]:
    """End what is left of a program's last start and wait until it is gone.

    Returns:
        The pids that were ended.
    """
    survivors = left_by_last_start(folder, name)
    end(survivors)
    return [process.pid for process in survivors]


def left_by_last_start(folder: Path, name: str) -> list[psutil.Process]:
    """What is left of a program's last start, this process excepted."""
    group = read(folder, name)
    return members(group) if group else []


def left_to_this_start(folder: Path, name: str) -> list[psutil.Process]:
    """What is left of earlier starts of this very program, as its record says."""
    group = read(folder, name)
    if group is None or group.boot != _boot():
        return []
    # Where the disk was full, the record is still that of the start before.
    return _noted(group.left) if group.pgid == os.getpid() else members(group)


def eldest(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those of them that are children of none of them, such as workers without what they run."""
    pids = {process.pid for process in processes}
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.ppid() not in pids:
                found.append(process)
    return found


def end(processes: Sequence[psutil.Process]) -> None:
    """Ask processes to end and wait until they are gone; kill what takes too long."""
    _signal(processes, signal.SIGTERM)
    if not _are_gone(processes, _TERM_GRACE_S):
        _signal(processes, signal.SIGKILL)
        _are_gone(processes, _KILL_GRACE_S)


def _note(processes: Sequence[psutil.Process]) -> str:
    """Processes as text, from which `_noted` finds them again in the same boot."""
    entries = []
    for process in processes:
        with contextlib.suppress(OSError):  # gone already
            entries.append(f"{process.pid}@{start_ticks(process.pid)}")
    return " ".join(entries)


def _noted(text: str) -> list[psutil.Process]:
    """Those of the noted processes that still are there."""
    found = []
    for entry in text.split():
        pid, _, ticks = entry.partition("@")
        with contextlib.suppress(OSError, psutil.NoSuchProcess):
            if start_ticks(int(pid)) == int(ticks):
                found.append(psutil.Process(int(pid)))
    return [process for process in found if lives(process)]


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _are_gone(processes: Sequence[psutil.Process], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while any(map(lives, processes)):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def members(group: Group) -> list[psutil.Process]:
    """The living processes of a recorded group and of what it found left, this one excepted."""
    if group.boot != _boot():
        return []
    found = [process for process in psutil.process_iter() if _belongs(process, group)]
    leader = next((process for process in found if process.pid == group.pgid), None)
    # A pid is not given out while a group bears its number, so another leader means another group:
    # the recorded one is gone.
    if leader and start_ticks(leader.pid) != group.ticks:
        found = []
    return found + _noted(group.left)


def start_ticks(pid: int) -> int:
    """When a process started, in ticks since the boot (proc(5), field 22 of stat).

    Raises:
        OSError: there is no such process.
    """
    # The second field, the name, may hold anything but ends at the last parenthesis.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[22 - 3])


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _belongs(process: psutil.Process, group: Group) -> bool:
    try:
        return (
            process.pid != os.getpid()
            and os.getpgid(process.pid) == group.pgid
            and process.uids().real == group.user
            and start_ticks(process.pid) >= group.ticks
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except (psutil.Error, OSError):
        return False


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.group"
