"""Processes under measurement: started, looked at, and ended with all their children.

Each leads a process group of its own, so Ctrl-C in a terminal reaches only the command, which then
ends them by pid; and the kernel ends each with the command if that is killed.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from app.config import VARIABLES
from benchmarks.machine import ROOT
from benchmarks.peers import launch
from benchmarks.peers.session import UnmeasuredError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

START_TIMEOUT_S = 30.0
_END_TIMEOUT_S = 15.0
_POLL_S = 0.02
_HELPER = "multiprocessing.resource_tracker"
_LAST_LINES = 12


@dataclass(frozen=True, slots=True)
class Command:
    """What is executed.

    Attributes:
        argv: absolute path of the executable and its arguments.
        environ: what its environment has beyond this process's own.
        root: the checkout in which it runs, and whose modules it finds.
    """

    argv: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    root: Path = ROOT

    @property
    def whole_environ(self) -> dict[str, str]:
        """Its whole environment.

        Settings of Windlass and of pytest that happen to stand in this process's environment are
        left out: pytest-benchmark does not measure where pytest runs several processes.
        """
        inherited = {
            name: text
            for name, text in os.environ.items()
            if name not in VARIABLES and not name.startswith("PYTEST_")
        }
        return {**inherited, **self.environ, "PYTHONPATH": str(self.root)}


@contextmanager
def running(
    command: Command, log: Path, cpu: int | None = None, descriptors: Sequence[int] = ()
) -> Iterator[psutil.Process]:
    """Run a command for as long as the block takes.

    Args:
        command: what to run.
        log: file that takes what it says.
        cpu: to keep to; None for any.
        descriptors: that it inherits, beside the standard ones.
    """
    with log.open("ab") as said:
        process = subprocess.Popen(
            launch.argv(command.argv, cpu), env=command.whole_environ, cwd=command.root,
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
            pass_fds=descriptors,
        )  # fmt: skip
    try:
        yield psutil.Process(process.pid)
    finally:
        _end(process)


def wait_until(
    condition: Callable[[], bool], process: psutil.Process, log: Path, what: str
) -> None:
    """Return once a condition holds of a process that lives.

    A condition may hold without it: where another has the port that it was to have.

    Raises:
        UnmeasuredError: the process has ended or the condition does not come true in time; carries
            the last lines of its log.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while not (condition() and _lives(process)):
        if not _lives(process) or time.monotonic() > deadline:
            said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
            raise UnmeasuredError("\n".join([f"{what} did not come up; it said:", *said]))
        time.sleep(_POLL_S)


def listens(process: psutil.Process, address: str) -> bool:
    """Whether a process, or one below it, is who accepts at HOST:PORT, and not another's."""
    port = int(address.rpartition(":")[2])
    return any(
        found.status == psutil.CONN_LISTEN and found.laddr.port == port
        for each in tree(process)
        for found in each.net_connections("tcp")
    )


def tree(process: psutil.Process) -> list[psutil.Process]:
    """A process and all below it."""
    return [process, *process.children(recursive=True)]


def workers(master: psutil.Process) -> list[psutil.Process]:
    """The children of a server that serve; Python's own helper processes are left out."""
    return [child for child in master.children() if _HELPER not in " ".join(child.cmdline())]


def cpu_s(process: psutil.Process) -> float:
    """Seconds of CPU, user's and system's, that a process and all below it have used."""
    total = 0.0
    for each in tree(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            total += times.user + times.system
    return total


def pss_mib(process: psutil.Process) -> float:
    """Proportional set size: its own memory, and its share of what it shares.

    Raises:
        OSError: the kernel does not tell.
    """
    text = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
    line = next(line for line in text.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) / 1024


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process in good order, and what remains of its children by force."""
    family: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(_END_TIMEOUT_S)
    _, left = psutil.wait_procs(family, timeout=1)
    for child in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(left, timeout=_END_TIMEOUT_S)
