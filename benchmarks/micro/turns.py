"""Turns of processes that measure side by side: one at a time, sweep by sweep.

What slows a CPU by half often lasts for seconds: long enough for all that one process measures.
When processes take turns with each sweep, it meets all of them alike. Each has one end of a socket
pair: it says that it waits, and goes on when it is told to.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from functools import cache

VARIABLE = "BENCHMARK_TURNS"
"""Environment variable with the descriptor of a process's end; without it nobody waits."""
_WAITS, _GO = b"w", b"g"


def wait() -> None:
    """In a measuring process: the sweep before is done; wait until the next may begin."""
    link = _link()
    if link is not None:
        link.sendall(_WAITS)
        link.recv(1)


@cache
def _link() -> socket.socket | None:
    descriptor = os.environ.get(VARIABLE)
    return socket.socket(fileno=int(descriptor)) if descriptor else None


class Turns:
    """The other end: lets one process take its turns.

    Attributes:
        far: the process's end, for it to inherit.
    """

    def __init__(self, timeout_s: float) -> None:
        self._near, self.far = socket.socketpair()
        self._near.settimeout(timeout_s)
        # As many digits in every process: the size of its environment moves its memory.
        self.environ = {VARIABLE: f"{self.far.fileno():06}"}

    def began(self) -> None:
        """The process has inherited its end: from now on it alone holds it."""
        self.far.close()

    def take(self) -> None:
        """Let the process do its next sweep, and return when that is done.

        Raises:
            TimeoutError: it takes too long.
        """
        with suppress(OSError):  # it has ended; what it measured, or why not, is read later
            self._near.sendall(_GO)
        self.wait()

    def wait(self) -> None:
        """Return when the process waits for its turn, or has ended.

        Raises:
            TimeoutError: it takes too long.
        """
        with suppress(ConnectionError):
            self._near.recv(1)

    def close(self) -> None:
        """Let go of both ends."""
        self._near.close()
        self.far.close()
