"""The circuit breaker: after some failures in a row nobody waits for a Redis that is away.

Owns the decision and the length of the pauses; knows neither clock nor event loop. Guarantees that
one success closes it and that pauses grow to `longest_s` and no further, so that a Redis that is
back is found within that time and one attempt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Breaker:
    """Counts failures in a row.

    Args:
        threshold: failures in a row that open it.
        shortest_s: seconds of the first pause, before its jitter.
        longest_s: seconds that no pause exceeds.
        random: numbers from 0 to 1, by which pauses are shortened to between half and all of them,
            so that the workers of a machine do not all try at the same moment.
    """

    __slots__ = ("_longest_s", "_pause_s", "_random", "_shortest_s", "_threshold", "failures",
                 "reason")  # fmt: skip

    def __init__(
        self,
        *,
        threshold: int,
        shortest_s: float,
        longest_s: float,
        random: Callable[[], float],
    ) -> None:
        self._threshold = threshold
        self._shortest_s = shortest_s
        self._longest_s = longest_s
        self._random = random
        self._pause_s = shortest_s
        self.failures = 0
        self.reason = ""

    @property
    def is_open(self) -> bool:
        """Whether calls are to fail at once."""
        return self.failures >= self._threshold

    def fail(self, reason: str) -> bool:
        """Take note of a failure; return whether it has opened the breaker."""
        self.failures += 1
        self.reason = reason
        return self.failures == self._threshold

    def succeed(self) -> bool:
        """Take note of a success; return whether it has closed the breaker."""
        was_open = self.is_open
        self.failures = 0
        self._pause_s = self._shortest_s
        return was_open

    def next_pause_s(self) -> float:
        """Seconds until the next attempt; each one asked for is longer, up to the longest."""
        pause_s = self._pause_s
        self._pause_s = min(pause_s * 2, self._longest_s)
        return pause_s * (1 + self._random()) / 2
