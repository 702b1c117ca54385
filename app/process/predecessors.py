"""The workers that a killed master left: they serve until ours do, and are asked to end then."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from typing import TYPE_CHECKING

from app import log
from app.process.crew import KILL_GRACE_S

if TYPE_CHECKING:
    from collections.abc import Sequence


class Predecessors:
    """Workers of another master, which nobody else asks to end.

    Args:
        pids: theirs.
        selector: in which the ends of them are registered, with this as data.
        drain_timeout_s: seconds that they may take to finish their requests.
    """

    def __init__(
        self, pids: Sequence[int], selector: selectors.BaseSelector, drain_timeout_s: float
    ) -> None:
        self._pids = pids
        self._selector = selector
        self._drain_timeout_s = drain_timeout_s
        self._log = log.get(process="master")
        self._living: dict[int, int] = {}
        self._are_asked = False
        self._deadline: float | None = None

    @property
    def remain(self) -> bool:
        """Whether any of them is still there."""
        return bool(self._living)

    def watch(self) -> None:
        """Begin to hear of their ends; once no worker of ours is about to inherit descriptors."""
        for pid in self._pids:
            with contextlib.suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid)
                self._living[descriptor] = pid
                self._selector.register(descriptor, selectors.EVENT_READ, self)
        if self._living:
            self._log.warning("workers of a killed master serve on", pids=[*self._living.values()])

    def hear(self, descriptor: int) -> None:
        """Take note of the end of one, which a descriptor of `watch` has told."""
        self._selector.unregister(descriptor)
        os.close(descriptor)
        self._log.info("worker of a killed master ended", pid=self._living.pop(descriptor))

    def ask_to_end(self) -> None:
        """Have them drain and end; once."""
        if not self._are_asked:
            self._are_asked = True
            self._deadline = time.monotonic() + self._drain_timeout_s + KILL_GRACE_S
            self._tell(signal.SIGTERM)

    def enforce_deadline(self) -> None:
        """Kill those that have not ended in time."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._deadline = None
            self._tell(signal.SIGKILL)

    def next_deadline(self) -> float | None:
        """Monotonic time at which there is something to do without any event."""
        return self._deadline if self._living else None

    def _tell(self, number: signal.Signals) -> None:
        for descriptor in self._living:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
