"""The pulse of a worker: how the master knows, without asking, that its event loop turns.

A worker has a page of memory that it shares with the master. Its event loop counts a beat there,
at most one a second, and writes beside it how many requests it has served. The page is a file in
memory, so that it outlives the master's `exec` and the next code hears the old workers too.

The master judges by how often it has looked itself and seen nothing, never by comparing clocks:
while the machine sleeps, or the master itself is stopped or starved, nobody is found dead.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass

BEAT_S = 1.0
_BYTES = 32
_BEATS, _REQUESTS, _ACCEPTING = range(3)


class Pulse:
    """One worker's page; made by the master before the fork, written by the worker only.

    Args:
        descriptor: of the memory; stays the caller's to close.
    """

    def __init__(self, descriptor: int) -> None:
        self._words = memoryview(mmap.mmap(descriptor, _BYTES)).cast("Q")

    def beat(self, requests: int = 0) -> None:
        """Show that the event loop turns; `requests` is how many were served so far."""
        self._words[_REQUESTS] = requests
        self._words[_BEATS] += 1

    def accept(self, *, accepting: bool) -> None:
        """Show whether the worker takes new connections."""
        self._words[_ACCEPTING] = accepting

    @property
    def beats(self) -> int:
        """How often the event loop has beaten; 0 means that it is not to be judged yet."""
        return self._words[_BEATS]

    @property
    def requests(self) -> int:
        """How many requests were served at the last beat."""
        return self._words[_REQUESTS]

    @property
    def is_accepting(self) -> bool:
        """Whether the worker takes new connections."""
        return bool(self._words[_ACCEPTING])


def make() -> int:
    """The descriptor of a new page, all zero, not inheritable."""
    descriptor = os.memfd_create("windlass-pulse", os.MFD_CLOEXEC)
    os.truncate(descriptor, _BYTES)
    return descriptor


def beat_interval_s(timeout_s: float) -> float:
    """How often a worker beats that counts as dead after `timeout_s` (0: never)."""
    return min(BEAT_S, timeout_s / 5) if timeout_s else BEAT_S


@dataclass(slots=True)
class Listener:
    """What the master has heard of one worker.

    Attributes:
        pulse: of the worker.
        silent_s: for how long the master has watched it without a beat.
    """

    pulse: Pulse
    silent_s: float = 0.0
    _beats: int = 0
    _looked_at: float | None = None

    def look(self, now: float, interval_s: float) -> float:
        """Look whether it has beaten; returns `silent_s`.

        Args:
            now: monotonic time.
            interval_s: how often the master means to look. One that comes later than twice that
                was itself kept from running, as its workers may have been: the time beyond does
                not count.
        """
        beats = self.pulse.beats
        if beats != self._beats or beats == 0 or self._looked_at is None:
            self.silent_s = 0.0
        else:
            self.silent_s += min(now - self._looked_at, 2 * interval_s)
        self._beats, self._looked_at = beats, now
        return self.silent_s
