"""The network of a micro benchmark: a transport that takes what is written and sends nothing."""

from __future__ import annotations

import asyncio
from functools import cache


class Sink(asyncio.Transport):
    """Counts the writes, and keeps the last of them."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.last = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes."""
        self.writes += 1
        self.last = bytes(data)

    def is_closing(self) -> bool:
        """It never is."""
        return False

    def get_write_buffer_size(self) -> int:
        """Nothing waits."""
        return 0

    def pause_reading(self) -> None:
        """There is nothing to read."""

    def resume_reading(self) -> None:
        """There is nothing to read."""

    def can_write_eof(self) -> bool:
        """It cannot."""
        return False

    def close(self) -> None:
        """It stays."""

    def abort(self) -> None:
        """It stays."""


@cache
def event_loop() -> asyncio.AbstractEventLoop:
    """The event loop of a process, which lives as long."""
    return asyncio.new_event_loop()
