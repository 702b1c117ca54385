"""The store's connection without a network: commands of one turn out in one write, replies in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.store.pipeline import Pipeline, pack
from benchmarks.micro.sink import Sink, event_loop
from benchmarks.micro.work import expect

if TYPE_CHECKING:
    from benchmarks.micro.work import Work

_CALLS = 64
_FAR_S = 1e9


class _Watcher:
    """Takes what a pipeline tells."""

    def replied(self, discarded: int) -> None:
        """Nothing to do."""

    def timed_out(self, calls: int) -> None:
        """Nothing to do."""

    def writable(self) -> None:
        """Nothing to do."""

    def lost(self, pipeline: Pipeline, reason: str) -> None:
        """Nothing to do."""


def make() -> Work:
    """Pack 64 commands, send them in one piece, and hand their replies to their callers."""
    loop = event_loop()
    sink = Sink()

    async def connected() -> Pipeline:
        made = Pipeline(_Watcher(), timeout_s=_FAR_S)
        made.connection_made(sink)
        made.has_joined = True
        return made

    pipeline = loop.run_until_complete(connected())
    replies = b"".join(b":%d\r\n" % number for number in range(_CALLS))

    def work() -> int:
        futures = [loop.create_future() for _ in range(_CALLS)]
        pipeline.send([(pack("INCR", "counter"), future, _FAR_S) for future in futures])
        pipeline.data_received(replies)
        return sum(future.result() for future in futures)

    expect(work() == sum(range(_CALLS)), "a reply went to the wrong caller")
    expect(sink.writes == 1, "the commands were not written in one piece")
    return work
