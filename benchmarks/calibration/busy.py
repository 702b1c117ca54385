"""Another load: a process that keeps one CPU busy for as long as a block takes."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.machine import ROOT
from benchmarks.peers import launch

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROGRAM = "while True: sum(range(10000))"


@contextmanager
def busy(cpu: int) -> Iterator[int]:
    """Keep a CPU busy; yields the pid of what does."""
    argv = launch.argv((sys.executable, "-c", _PROGRAM), cpu)
    process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()
