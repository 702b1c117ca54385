"""What a worker's event loop owes its master: a pulse, and an ear for what it wants.

For a worker that serves from asyncio; needs its running event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import stat
import sys
from enum import Enum, auto
from typing import TYPE_CHECKING

from app import log
from app.prctl import ORPHANED
from app.process import worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from app.process.worker import WorkerContext


class Wish(Enum):
    """What the master wants of a worker."""

    SERVE = auto()
    STAND_BY = auto()
    STOP = auto()


class Orders:
    """The master's last wish, heard as signals. After STOP there is no other."""

    def __init__(self) -> None:
        self.wish = Wish.SERVE
        self._changed = asyncio.Event()
        self._end_as_orphan: asyncio.TimerHandle | None = None

    def listen(self) -> None:
        """Hear signals from now on. Before, while nothing is served yet, they end the process."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._hear, Wish.STOP)
        loop.add_signal_handler(worker.STAND_BY, self._hear, Wish.STAND_BY)
        loop.add_signal_handler(worker.SERVE_AGAIN, self._hear, Wish.SERVE)

        def hear_of_masters_death(_number: int, _frame: FrameType | None) -> None:
            # At once, and not with the next turn of the loop: a handler may be about to print.
            _leave_pipes()
            loop.call_soon_threadsafe(self._serve_as_orphan)

        signal.signal(ORPHANED, hear_of_masters_death)

    async def other_than(self, wish: Wish) -> Wish:
        """Wait until the wish is another; returns that one."""
        while self.wish is wish:
            self._changed.clear()
            await self._changed.wait()
        return self.wish

    def are_to_leave(self) -> bool:
        """Whether the worker is not, or no longer, to serve."""
        return self.wish is not Wish.SERVE

    def _hear(self, wish: Wish) -> None:
        if self.wish is not Wish.STOP:
            self.wish = wish
            self._changed.set()

    @property
    def is_orphan(self) -> bool:
        """Whether the worker's master has died."""
        return self._end_as_orphan is not None

    def _serve_as_orphan(self) -> None:
        """Serve on for a while, rather than leave the service without workers meanwhile."""
        if self.wish is not Wish.SERVE:
            self._hear(Wish.STOP)
            return
        before = self._end_as_orphan
        self._end_as_orphan = asyncio.get_running_loop().call_later(
            worker.ORPHAN_SERVES_S, self._hear, Wish.STOP
        )
        if before is not None:
            before.cancel()
            return
        log.get().warning("the master has died; serving until another one's workers do")


def _leave_pipes() -> None:
    """Write to nowhere instead of to a pipe that supervisord no longer reads.

    A handler that prints would fail else.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (sys.stdout.fileno(), sys.stderr.fileno()):
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            os.dup2(nowhere, descriptor)
    os.close(nowhere)


@contextlib.contextmanager
def beating(context: WorkerContext, served: Callable[[], int]) -> Iterator[None]:
    """Within, the event loop beats; `served` is how many requests it has served so far."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = None
    descriptors = _Descriptors(context.listeners[0].fileno())

    def beat() -> None:
        nonlocal timer
        context.pulse.beat(served())
        descriptors.look()
        timer = loop.call_later(context.beat_interval_s, beat)

    beat()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()


class _Descriptors:
    """Notes when a process has no file descriptor left, and when it has one again.

    The event loop closes what it cannot accept and tells nobody.

    Args:
        known: any descriptor that stays open.
    """

    def __init__(self, known: int) -> None:
        self._known = known
        self._are_gone = False

    def look(self) -> None:
        """Try to have one more, and log the change if there is any."""
        try:
            os.close(os.dup(self._known))
        except OSError as error:
            if not self._are_gone:
                log.get().error(
                    "no file descriptor is left; new connections are closed unanswered",
                    reason=error.strerror,
                    limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
                    advice="raise the limit of open files (LimitNOFILE, ulimit -n)",
                )
            self._are_gone = True
        else:
            if self._are_gone:
                log.get().warning("there are file descriptors again")
            self._are_gone = False
