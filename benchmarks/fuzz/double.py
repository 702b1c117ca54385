"""A client and an event loop in memory, so that a million connections take minutes.

Both stand in for asyncio's own: they keep what a connection writes and when it reads, and run what
it asks for, in order, at a time that the caller sets. Nothing waits. What they leave out is the
network: sockets, TLS, and writes that are taken in part; the tests have those.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Loop:
    """What the engine asks of an event loop."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.caught: list[dict[str, Any]] = []
        self._ready: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = 0

    def time(self) -> float:
        """Seconds."""
        return self.now_s

    def call_soon(self, call: Callable[..., Any], *args: Any, context: Any = None) -> None:  # noqa: ANN401, ARG002
        """Run later, in order."""
        self._ready.append((call, args))

    def call_at(self, when_s: float, call: Callable[..., Any], *args: Any) -> Timer:  # noqa: ANN401
        """Run at a time."""
        self._count += 1
        timer = Timer(call, args)
        heapq.heappush(self._timers, (when_s, self._count, timer))
        return timer

    def create_future(self) -> asyncio.Future[Any]:
        """A future whose callbacks run here."""
        loop: Any = self
        return asyncio.Future(loop=loop)

    def get_debug(self) -> bool:
        """Asked by futures."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What nobody handled."""
        self.caught.append(context)

    def run(self) -> None:
        """Run what is ready, until nothing is."""
        for _ in range(100_000):
            if not self._ready:
                return
            call, args = self._ready.popleft()
            call(*args)
        raise RuntimeError("the loop does not come to rest")

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and run what falls into it."""
        end_s = self.now_s + seconds
        while self._timers and self._timers[0][0] <= end_s:
            when_s, _, timer = heapq.heappop(self._timers)
            self.now_s = max(self.now_s, when_s)
            if timer.call is not None:
                timer.call(*timer.args)
            self.run()
        self.now_s = end_s

    @property
    def waiting(self) -> int:
        """Timers that are still to run."""
        return sum(timer.call is not None for _, _, timer in self._timers)


class Timer:
    """A call at a time."""

    __slots__ = ("args", "call")

    def __init__(self, call: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.call: Callable[..., Any] | None = call
        self.args = args

    def cancel(self) -> None:
        """Do not run."""
        self.call, self.args = None, ()


class Transport(asyncio.Transport):
    """A client that reads as fast or as slowly as the caller says.

    Attributes:
        written: all that was sent to it.
        ended: whether the server said that nothing more will come.
        takes_bytes: whether the server reads.
    """

    def __init__(self, loop: Loop, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.written = bytearray()
        self.ended = self.is_taken = False
        self.takes_bytes = True
        self._loop = loop
        self._protocol = protocol
        self._closing = False
        self._untaken = 0

    # ---- what the engine calls

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401
        """An address; and a socket that can be given away."""
        if name == "peername":
            return ("127.0.0.1", 1)
        return self if name == "socket" else default

    family = 2

    def dup(self) -> Transport:
        """As of a socket."""
        return self

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - as of a socket
        """As of a socket."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes."""
        if self.ended:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._closing:
            raise RuntimeError("written after close")
        self.written += data
        if self.is_taken:
            return
        self._untaken += len(data)
        self._protocol.pause_writing()

    def write_eof(self) -> None:
        """Take note of the end."""
        self.ended = True

    def can_write_eof(self) -> bool:
        """Always."""
        return True

    def get_write_buffer_size(self) -> int:
        """What the client has not taken."""
        return self._untaken

    def pause_reading(self) -> None:
        """Take nothing more."""
        self.takes_bytes = False

    def resume_reading(self) -> None:
        """Take on."""
        self.takes_bytes = True

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._closing

    def close(self) -> None:
        """Close."""
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._protocol.connection_lost, None)

    abort = close

    # ---- what the client does

    def stop_taking(self) -> None:
        """Read nothing more for now."""
        self.is_taken = False

    def take(self) -> None:
        """Read what was sent and what will be."""
        self.is_taken = True
        if self._untaken:
            self._untaken = 0
            self._protocol.resume_writing()
