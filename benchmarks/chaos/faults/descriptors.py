"""No file descriptor left in a worker: it lives, says so, and serves again once it has some."""

from __future__ import annotations

import resource
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.chaos.plot import Mark
from benchmarks.chaos.site import Site, site
from benchmarks.chaos.traffic import traffic
from benchmarks.chaos.verdicts import Outcome, Verdict

if TYPE_CHECKING:
    from app.process.state import Child

RATE_HZ = 100.0
HEALED_WITHIN_S = 3.0
_ROOM = 4
_CONNECTIONS = 60
_HELD_S = 4.0
_AFTER_S = 5.0


def run(is_long: bool) -> Outcome:  # noqa: FBT001 - the one argument of every fault
    """Take a worker's descriptors away, take up what is left, and give them back."""
    marks = []
    with site() as stack:
        victim = stack.ready()[0]
        logged = len(stack.log("web"))
        with traffic(stack, RATE_HZ) as sent:
            for number in range(5 if is_long else 1):
                time.sleep(1)
                begun = time.monotonic()
                _starve(stack, victim)
                marks.append(Mark(f"none left {number + 1}", begun, time.monotonic()))
                time.sleep(_AFTER_S)
        alive = stack.ready()[0].pid == victim.pid
        said = "Too many open files" in stack.log("web")[logged:]
    healed = [r for r in sent.record.failed
              if all(not m.begin <= r.sent <= m.end + HEALED_WITHIN_S for m in marks)]  # fmt: skip
    during = sum(len(sent.record.between(mark.begin, mark.end).failed) for mark in marks)
    return Outcome(
        [Verdict("the worker lives", "it does" if alive else "it was replaced", kept=alive),
         Verdict("the log says what is missing", "it does" if said else "it does not", kept=said),
         Verdict("no request fails from 3 s after there is room again",
                 f"{len(healed)} failed; while there was none {during}", kept=not healed)],
        sent.record, {"failed_meanwhile": during}, marks,
    )  # fmt: skip


def _starve(stack: Site, victim: Child) -> None:
    before = resource.prlimit(victim.pid, resource.RLIMIT_NOFILE)
    used = max(int(entry.name) for entry in Path(f"/proc/{victim.pid}/fd").iterdir())
    resource.prlimit(victim.pid, resource.RLIMIT_NOFILE, (used + _ROOM, before[1]))
    try:
        with ExitStack() as connections:
            for _ in range(_CONNECTIONS):
                client = connections.enter_context(socket.socket(socket.AF_UNIX))
                client.settimeout(1)
                client.connect(stack.sockets[victim.slot])
            time.sleep(_HELD_S)
    finally:
        resource.prlimit(victim.pid, resource.RLIMIT_NOFILE, before)
