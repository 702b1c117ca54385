"""The workers that a killed master left: they serve until ours are proven, and then are to end."""

from __future__ import annotations

import contextlib
import signal
import time
from typing import TYPE_CHECKING

import psutil

from app import log
from app.proc import have_serve_on, lives
from app.process.crew import KILL_GRACE_S
from app.process.worker import ORPHAN_SERVES_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.process.options import MasterOptions

_POLL_S = 0.1
"""They are nobody's children, so nobody is told of their end."""


class Predecessors:
    """Workers of another master, which nobody else looks after.

    Args:
        processes: theirs.
        options: of the master that follows.
    """

    def __init__(self, processes: Sequence[psutil.Process], options: MasterOptions) -> None:
        self._living = [process for process in processes if lives(process)]
        self._probation_s = options.probation_s
        self._drain_timeout_s = options.drain_timeout_s
        self._whole_since: float | None = None
        self._next_word = 0.0
        self._deadline: float | None = None
        if self._living:
            log.get(process="master").warning("workers of a killed master serve on", pids=self.pids)

    @property
    def pids(self) -> list[int]:
        """Of those that are still there."""
        return [process.pid for process in self._living]

    def advance(self, *, is_whole: bool) -> None:
        """See who is left, have them serve on, or kill those that do not end in time.

        Args:
            is_whole: whether every worker of the master that follows is ready.
        """
        now = time.monotonic()
        self._living = [process for process in self._living if lives(process)]
        self._whole_since = (self._whole_since or now) if is_whole else None
        if self._deadline is None:
            if now >= self._next_word:
                self._next_word = now + ORPHAN_SERVES_S / 3
                have_serve_on(self._living)
        elif now >= self._deadline:
            self._tell(signal.SIGKILL)

    def can_go(self) -> bool:
        """Whether nobody needs them: those that follow have been ready for the probation."""
        if self._whole_since is None:
            return False
        return time.monotonic() >= self._whole_since + self._probation_s

    def ask_to_end(self) -> None:
        """Have them drain and end; once."""
        if self._deadline is None:
            self._deadline = time.monotonic() + self._drain_timeout_s + KILL_GRACE_S
            self._tell(signal.SIGTERM)

    def next_deadline(self) -> float | None:
        """Monotonic time at which there is something to do without any signal."""
        return time.monotonic() + _POLL_S if self._living else None

    def _tell(self, number: signal.Signals) -> None:
        for process in self._living:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
