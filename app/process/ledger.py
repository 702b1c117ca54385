"""The master's part in counting: who counts where, what the dead leave, the samples of the hour.

Owns the shared memory of `app.telemetry.memory`, which goes from master to master by `exec`.
Without it, because it is not wanted or the kernel gives none, everything here does nothing and the
service serves all the same.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from app import log
from app.telemetry import catalogue
from app.telemetry.history import SAMPLE_S, History
from app.telemetry.memory import Memory, Origin, Region
from app.telemetry.meter import NOBODY, Meter
from app.telemetry.totals import MASTER, add_up, requests_until

if TYPE_CHECKING:
    from app.process.options import MasterOptions
    from app.process.state import Child, MasterState

_REASONS = ("stopped", "killed", "exited", "blocked", "late")
_RESULTS = {"reloaded": "succeeded", "reload failed": "failed", "went back": "back"}


class Ledger:
    """What the master does for counting.

    Args:
        options: of the master.
        state: of the master; the descriptor of the memory there is the ledger's.
    """

    def __init__(self, options: MasterOptions, state: MasterState) -> None:
        self._state = state
        self._log = log.get(process="master")
        self._memory = self._open(wanted=options.metrics)
        self._meter = NOBODY
        self._next_sample = 0.0
        self._has_told_of_loss = False
        if self._memory is None:
            return
        living = {child.pid for child in state.children}
        lost = sum(
            self._memory.fold(region)
            for region in self._memory.regions()
            if region.pid not in living  # of the master before this one, too
        )
        region_of_master = self._memory.free(frozenset())
        if region_of_master is not None:
            region_of_master.assign(os.getpid())
            region_of_master.sign(
                Origin(MASTER, -1, os.getpid(), state.started, "", "", options.release)
            )
            self._meter = Meter(region_of_master)
            self._begin_at_zero()
        self._note_loss(lost)

    def _open(self, *, wanted: bool) -> Memory | None:
        descriptor = self._state.metrics_fd
        if descriptor >= 0:
            try:
                if wanted:
                    return Memory(descriptor)
            except (OSError, ValueError) as error:
                self._log.warning("metrics begin anew", reason=str(error))
            os.close(descriptor)
            self._state.metrics_fd = -1
        if not wanted:
            return None
        try:
            memory = Memory.make()
        except OSError as error:
            self._log.error("nothing is counted: there is no memory for it", reason=str(error))
            return None
        self._state.metrics_fd = memory.descriptor
        return memory

    def _begin_at_zero(self) -> None:
        """Show each count from the start: an increase is seen only beside what was before it."""
        for reason in _REASONS:
            self._meter.add(catalogue.WORKER_ENDS, reason, amount=0)
        for result in _RESULTS.values():
            self._meter.add(catalogue.UPGRADES, result, amount=0)
        self._meter.add(catalogue.RECYCLED, amount=0)

    def region(self) -> Region | None:
        """Where a worker that is about to be forked is to count."""
        if self._memory is None:
            return None
        found = self._memory.free(frozenset())
        if found is None:
            self._log.error("a worker does not count: too many share the memory")
        return found

    def forked(self, child: Child, region: Region | None) -> None:
        """Say that a worker has begun to live."""
        if region is not None:
            region.assign(child.pid)
        self._meter.add(catalogue.WORKER_STARTS)

    def ended(self, child: Child, how: str) -> None:
        """Take over what a worker had counted that was reaped.

        Args:
            child: as it was.
            how: it ended, as of `describe_exit`.
        """
        self._meter.add(catalogue.WORKER_ENDS, _reason(child, how))
        if self._memory is None:
            return
        for region in self._memory.regions():
            if region.pid == child.pid:
                self._note_loss(self._memory.fold(region))

    def _note_loss(self, series: int) -> None:
        """Say that counters have gone back, for want of room."""
        if not series:
            return
        self._meter.add(catalogue.LOST_SERIES, amount=series)
        if not self._has_told_of_loss:
            self._has_told_of_loss = True
            self._log.error(
                "counters have gone back: there is no room for what ended workers had counted",
                series=series,
            )

    def advance(self) -> None:
        """Count what has been recorded, and take a sample if it is time."""
        if self._memory is None:
            return
        for event in self._state.uncounted():
            if event.kind == "recycled":
                self._meter.add(catalogue.RECYCLED)
            elif event.kind in _RESULTS:
                self._meter.add(catalogue.UPGRADES, _RESULTS[event.kind])
        if time.monotonic() >= self._next_sample:
            self._next_sample = time.monotonic() + SAMPLE_S
            sample = requests_until(time.time(), add_up(self._memory.read()))
            History(self._memory).append(sample)

    def next_deadline(self) -> float | None:
        """Monotonic time of the next sample."""
        return None if self._memory is None else self._next_sample


def _reason(child: Child, how: str) -> str:
    if child.state == "blocked":
        return "blocked"
    if child.is_late:
        return "late"
    if child.state in {"stopping", "standby"}:
        return "stopped"
    return "killed" if how.startswith("killed") else "exited"
