"""What the store counts of its own work, for whoever shows it.

The counters are plain integers that the event loop alone changes, a few for each batch and none for
each call: reading them at any moment is cheap and needs no lock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

_SIZES = 16


@dataclass(slots=True)
class Counters:
    """Everything since the store was made.

    Attributes:
        commands: commands written to a connection, those of connecting and PINGs not among them.
        batches: writes that carried them.
        batch_sizes: how many batches had 1, 2-3, 4-7, 8-15, ... commands.
        connected: connections made.
        connects_failed: attempts at a connection that failed.
        connections_lost: connections that ended otherwise than by `close`.
        discarded: replies whose caller had left, cancelled or out of time.
        timed_out: commands sent that got no reply in time.
        not_sent: commands that were never sent: too many waited, or there was no connection.
        breaker_opened: times that the breaker opened.
    """

    commands: int = 0
    batches: int = 0
    batch_sizes: list[int] = field(default_factory=lambda: [0] * _SIZES)
    connected: int = 0
    connects_failed: int = 0
    connections_lost: int = 0
    discarded: int = 0
    timed_out: int = 0
    not_sent: int = 0
    breaker_opened: int = 0

    def count_batch(self, size: int) -> None:
        """Count one write of `size` commands, at least one."""
        self.commands += size
        self.batches += 1
        self.batch_sizes[min(size.bit_length(), _SIZES) - 1] += 1

    def copy(self) -> Counters:
        """The counters of this moment, which change no more."""
        return replace(self, batch_sizes=self.batch_sizes.copy())
