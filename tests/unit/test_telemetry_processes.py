"""What the kernel tells of a process and of those that it has started."""

from __future__ import annotations

import os
import subprocess
import sys

from app.telemetry import processes
from app.telemetry.catalogue import PROCESS_CPU, PROCESS_RESIDENT

BUSY = "sum(range(3_000_000)); print(flush=True); input()"


def of_children() -> dict[str, float]:
    found = processes.samples_of_children(os.getpid(), "worker-0-children")
    return {metric.name: value for metric, _, value in found}


def test_what_a_process_has_started_counts_while_it_lives_and_after() -> None:
    before = of_children()
    with subprocess.Popen(
        (sys.executable, "-c", BUSY), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        during = of_children()
        child.communicate(b"\n", timeout=60)
    after = of_children()
    assert before[PROCESS_CPU.name] < during[PROCESS_CPU.name] <= after[PROCESS_CPU.name]
    assert during[PROCESS_RESIDENT.name] > before[PROCESS_RESIDENT.name] + 1_000_000
    assert after[PROCESS_RESIDENT.name] == before[PROCESS_RESIDENT.name]


def test_nothing_is_told_of_what_is_gone() -> None:
    with subprocess.Popen((sys.executable, "-c", "")) as gone:
        gone.wait(timeout=60)
    assert list(processes.samples_of_children(gone.pid, "worker-0-children")) == []
