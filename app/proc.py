"""Other processes: what the kernel tells of them (proc(5)), and what they are told."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from app.prctl import ORPHANED

if TYPE_CHECKING:
    from collections.abc import Sequence


def lives(process: psutil.Process) -> bool:
    """Whether a process, and not another by its number, is still there and has not ended."""
    # What has ended stays a zombie where its parent, such as the first process of a container,
    # reaps nobody.
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def handles(process: psutil.Process, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal, which else may end it."""
    try:
        text = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return False
    (caught,) = (line for line in text.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def have_serve_on(orphans: Sequence[psutil.Process]) -> None:
    """Tell workers without a master that another is being started; end what is none, or not yet."""
    for process in orphans:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(ORPHANED if handles(process, ORPHANED) else signal.SIGTERM)
