"""One connection to Redis: commands go out in batches, replies come back in the same order.

Owns the pairing of replies with calls. A call that was written keeps its place until its reply has
come, whatever has become of its caller: who was cancelled or ran out of time has its reply
discarded, and nobody gets another's. What breaks the order (bytes that are no reply, a reply that
nobody asked for) ends the connection, and all that was in flight on it is of unknown outcome.

One `hiredis.Reader` reads the connection from its first byte to its last, so that nothing can be
left behind in another. RESP3 push messages answer nobody and are dropped; attributes, which Redis
sends only to who asks for them, are not told from replies by hiredis and must not be asked for.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING, Protocol, cast

import hiredis

from app.store.outcome import unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

Call = tuple[bytes, "asyncio.Future[object]", float]
"""A packed command, the future of its reply, and the time of the event loop when it is too late."""

_INCOMPLETE = object()
_PUSH = hiredis.PushNotification
_HELD_UP_S = 0.005
_SECOND_LOOK_S = 0.001
_SILENT_TIMEOUTS = 2


def pack(*words: str | bytes | int) -> bytes:
    """A command as it travels."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type] # its stub says one word
    return packed


class Watcher(Protocol):
    """Who is told of what happens to a pipeline."""

    def replied(self, discarded: int) -> None:
        """Replies have come; `discarded` of them had no caller any more."""

    def timed_out(self, calls: int) -> None:
        """`calls` that were written have got no reply in time."""

    def writable(self) -> None:
        """The other side reads again, so that batches may be sent."""

    def lost(self, pipeline: Pipeline, reason: str) -> None:
        """The connection has ended."""


class Pipeline(asyncio.Protocol):
    """The protocol of one connection.

    Args:
        watcher: who is told; nothing, as long as `has_joined` is false.
        timeout_s: seconds that a caller waits; a connection that is silent for twice as long,
            though replies are due, is given up.
    """

    __slots__ = (
        "_expired", "_loop", "_paused", "_reader", "_reason", "_second_look", "_sent", "_since",
        "_timeout_s", "_timer", "_transport", "_watcher", "gone", "has_joined",
    )  # fmt: skip

    def __init__(self, watcher: Watcher, *, timeout_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._watcher = watcher
        self._timeout_s = timeout_s
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        self._sent: deque[Call] = deque()
        self._expired = 0  # calls at the head of `_sent` whose callers were told
        self._since = 0.0  # when the last reply came, or the first call was sent after a rest
        self._timer: asyncio.TimerHandle | None = None
        self._second_look = False
        self._paused = False
        self._reason = ""
        self._transport: asyncio.Transport | None = None
        self.has_joined = False
        self.gone = self._loop.create_future()

    @property
    def in_flight(self) -> int:
        """How many replies are due."""
        return len(self._sent)

    @property
    def is_usable(self) -> bool:
        """Whether a batch may be sent: the connection stands and the other side reads."""
        transport = self._transport
        return not (self._paused or self._reason or transport is None or transport.is_closing())

    @property
    def reason(self) -> str:
        """Why the connection has ended; empty while it stands."""
        return self._reason

    def waiting_s(self, now: float) -> float:
        """Seconds for which a reply has been due and none came; 0 when none is due."""
        return now - self._since if self._sent else 0.0

    def send(self, calls: Sequence[Call]) -> None:
        """Write calls at once, in one piece; their deadlines must not be before earlier ones'."""
        transport = self._transport
        if transport is None:
            raise RuntimeError("A pipeline sends nothing before it is connected")
        if not self._sent:
            self._since = self._loop.time()
        self._sent.extend(calls)
        if self._timer is None and calls[0][2] < math.inf:
            self._timer = self._loop.call_at(calls[0][2], self._sweep)
        if len(calls) == 1:
            transport.write(calls[0][0])
        else:
            transport.write(b"".join([call[0] for call in calls]))

    def end(self, reason: str) -> None:
        """End the connection now; what is in flight fails with `reason`, its outcome unknown."""
        if self._reason:
            return
        self._reason = reason
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        while self._sent:
            future = self._sent.popleft()[1]
            if not future.done():
                future.set_exception(unknown(reason))
        if self.has_joined:
            self._watcher.lost(self, reason)

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand the replies to their callers."""
        if self._reason:
            return
        sent = self._sent
        due = len(sent)
        discarded = 0
        gets = self._reader.gets
        try:
            self._reader.feed(data)
            while (reply := gets()) is not _INCOMPLETE:
                if type(reply) is _PUSH:
                    continue
                future = sent.popleft()[1]
                if future.done():
                    discarded += 1
                else:
                    future.set_result(reply)
        except IndexError:
            self.end("Redis sent a reply that nobody asked for")
        except Exception as error:  # noqa: BLE001 - whatever it is, the place in the stream is lost
            self.end(f"Redis sent what is no reply ({type(error).__name__})")
        else:
            self._since = self._loop.time()
            if self._expired:
                self._expired = max(0, self._expired - (due - len(sent)))
            if self.has_joined and len(sent) < due:
                self._watcher.replied(discarded)

    def pause_writing(self) -> None:
        """Hold further batches back: the other side does not read."""
        self._paused = True

    def resume_writing(self) -> None:
        """Let batches go again."""
        self._paused = False
        if self.has_joined:
            self._watcher.writable()

    def eof_received(self) -> None:
        """End at once, so that nothing more is written to who listens no longer."""
        self.end("Redis ended the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is in flight."""
        kind = f" ({type(exc).__name__})" if exc else ""
        self.end(f"Redis ended the connection{kind}")
        if not self.gone.done():
            self.gone.set_result(None)

    # ---- deadlines

    def _sweep(self) -> None:
        """Tell the callers whose time is up. One timer serves them all: deadlines only grow."""
        self._timer = None
        if not self._sent:
            self._second_look = False
            return
        now = self._loop.time()
        due = self._next_sweep()
        if now - due > _HELD_UP_S and not self._second_look:
            # The event loop was held up; replies may have come that it had no time to read.
            self._second_look = True
            self._timer = self._loop.call_later(_SECOND_LOOK_S, self._sweep)
            return
        self._second_look = False
        self._expire(now)
        if not self._reason and self._sent:
            self._timer = self._loop.call_at(self._next_sweep(), self._sweep)

    def _next_sweep(self) -> float:
        silent = self._since + _SILENT_TIMEOUTS * self._timeout_s
        if self._expired < len(self._sent):
            return min(silent, self._sent[self._expired][2])
        return silent

    def _expire(self, now: float) -> None:
        told = 0
        while self._expired < len(self._sent):
            _, future, deadline = self._sent[self._expired]
            if deadline > now:
                break
            self._expired += 1
            if not future.done():
                told += 1
                future.set_exception(
                    unknown(f"Redis gave no answer within {self._timeout_s * 1000:.0f} ms")
                )
        if told:
            self._watcher.timed_out(told)
        if now >= self._since + _SILENT_TIMEOUTS * self._timeout_s:
            self.end("Redis was silent for too long")
