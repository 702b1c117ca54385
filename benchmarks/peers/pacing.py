"""A timer of the kernel that an event loop can wait for, exact to microseconds.

Event loops round their own timers to milliseconds, which at thousands of requests per second would
send them in bursts. Linux only, as `timerfd_create(2)`, which Python has by itself from 3.13 on.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CLOCK_MONOTONIC = 1
_NS = 1_000_000_000


class _Time(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _Timer(ctypes.Structure):
    _fields_ = (("it_interval", _Time), ("it_value", _Time))


@contextmanager
def ticks(interval_s: float, on_tick: Callable[[], None]) -> Iterator[None]:
    """Call a function in the running event loop at once and then at every interval.

    It ends with the block.

    Ticks that come while the loop is busy become one call: who is called looks at the clock.

    Raises:
        OSError: the kernel refuses the timer.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    timer = libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    if timer < 0:
        raise OSError(ctypes.get_errno(), "timerfd_create")
    loop = asyncio.get_running_loop()

    def ticked() -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(timer, 8)
        on_tick()

    try:
        seconds, nanoseconds = divmod(max(1, round(interval_s * _NS)), _NS)
        every = _Time(seconds, nanoseconds)
        if libc.timerfd_settime(timer, 0, ctypes.byref(_Timer(every, _Time(0, 1))), None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")
        loop.add_reader(timer, ticked)
        yield
    finally:
        loop.remove_reader(timer)
        os.close(timer)
