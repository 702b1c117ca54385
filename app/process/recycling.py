"""Recycling: workers that are old, have served much or have grown are replaced, one at a time.

The replacement is ready before the one that it replaces begins to drain; the next is looked for
only once that one has ended. A replacement that does not become ready changes nothing but the
slot's record; another is tried after a while.

Memory is judged by the proportional set size (PSS) that the kernel reports: what a worker shares
with the master and its siblings counts for each by its share, so the sum over all workers is what
they truly take, and a limit for each is a limit for all. The resident set would count the code
that all of them share as often as there are workers.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from app import log

if TYPE_CHECKING:
    from app.process.crew import Crew, Loss
    from app.process.options import MasterOptions, Recycling
    from app.process.state import Child, MasterState

LOOK_S = 1.0
MEMORY_LOOK_S = 10.0
"""The kernel walks all of a worker's pages to tell its PSS: some milliseconds."""
RETRY_S = 60.0


class Recycler:
    """Replaces workers that have reached a limit, or that run what the master no longer runs.

    Args:
        options: of the master.
        state: of the master.
        crew: the workers.
    """

    def __init__(self, options: MasterOptions, state: MasterState, crew: Crew) -> None:
        self._limits = options.recycling
        self._state = state
        self._crew = crew
        self._log = log.get(process="master")
        self._next_look = 0.0
        self._memory_looks: dict[int, float] = {}

    @property
    def is_busy(self) -> bool:
        """Whether a replacement is about to become ready."""
        return any(c.replaces and c.state == "starting" for c in self._state.children)

    def next_deadline(self) -> float | None:
        """Monotonic time at which there is something to do without any signal."""
        return self._next_look if self._limits.is_wanted or self._stale() else None

    def advance(self, *, may_begin: bool) -> None:
        """Let the one go that is replaced; where nothing goes on, look for the next.

        Args:
            may_begin: whether no upgrade is under way.
        """
        for child in self._state.children:
            if child.replaces and child.state == "ready":
                self._retire(child)
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_S
        is_idle = not any(c.state in {"starting", "stopping"} for c in self._state.children)
        if may_begin and is_idle:
            self._replace_one(now)

    def takes(self, loss: Loss) -> bool:
        """Whether a loss is that of a replacement, while what it was to replace still serves."""
        pids = {child.pid for child in self._state.children if child.state == "ready"}
        if loss.child.replaces not in pids:
            return False
        self._next_look = time.monotonic() + RETRY_S
        self._log.error("replacement failed; the worker goes on", pid=loss.child.replaces)
        loss.child.replaces = 0
        self._state.slots[loss.child.slot].last_exit = f"its replacement {loss.how}"
        return True

    def _retire(self, child: Child) -> None:
        for other in self._state.children:
            if other.pid == child.replaces:
                self._crew.stop(other)
        child.replaces = 0

    def _replace_one(self, now: float) -> None:
        candidates = [child for child in self._state.children if child.state == "ready"]
        for child in sorted(candidates, key=lambda child: child.forked_at):
            reason = self._reason(child, now)
            if reason:
                self._log.info("recycling", slot=child.slot, pid=child.pid, reason=reason)
                self._state.record("recycled", f"worker {child.slot} (pid {child.pid}): {reason}")
                self._crew.spawn(child.slot, replaces=child.pid)
                return

    def _stale(self) -> list[Child]:
        return [c for c in self._state.children
                if c.state == "ready" and c.generation < self._state.generation]  # fmt: skip

    def _reason(self, child: Child, now: float) -> str:
        if child.generation < self._state.generation:
            return f"it runs release {child.release}"
        limits = self._limits
        if limits.age_s and now - child.forked_at > limits.age_s * child.spread:
            return f"it is {now - child.forked_at:.0f} s old"
        pulse = self._crew.pulse_of(child)
        if limits.requests and pulse and pulse.requests > limits.requests * child.spread:
            return f"it has served {pulse.requests} requests"
        if limits.memory_bytes and now >= self._memory_looks.get(child.slot, 0.0):
            self._memory_looks[child.slot] = now + MEMORY_LOOK_S
            return _too_large(child.pid, limits)
        return ""


def _too_large(pid: int, limits: Recycling) -> str:
    size = pss_bytes(pid)
    if size is None or size <= limits.memory_bytes:
        return ""
    return f"it takes {size >> 20} MB of memory"


def pss_bytes(pid: int) -> int | None:
    """The proportional set size of a process (proc(5), smaps_rollup), in bytes.

    None where the kernel does not tell: the process is gone, or another user's.
    """
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    found = next((line for line in lines if line.startswith("Pss:")), "")
    return int(found.split()[1]) * 1024 if found else None
