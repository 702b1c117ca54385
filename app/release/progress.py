"""What a run tells while it goes on: an event for each step of each host."""

from __future__ import annotations

import contextlib
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Event(msgspec.Struct, omit_defaults=True):
    """One thing that happened.

    Attributes:
        step: lease, build, sign, copy, check, switch, probe, bake, confirm, back, collect,
            end, notify.
        state: begun, done, failed, or said (something to know in the middle of a step).
        host: where; empty: everywhere.
        seconds: how long the step took.
        at_s: seconds since the run began.
    """

    step: str
    state: str
    host: str = ""
    text: str = ""
    seconds: float = 0.0
    at_s: float = 0.0


class Progress:
    """Passes events on, from whichever thread they come, one at a time.

    Args:
        show: takes an event.
    """

    def __init__(self, show: Callable[[Event], None]) -> None:
        self._show = show
        self._begun = time.monotonic()
        self._lock = threading.Lock()

    def tell(self, event: Event) -> None:
        """Pass an event on; a terminal or pipe that is gone ends no run."""
        event.at_s = round(time.monotonic() - self._begun, 3)
        with self._lock, contextlib.suppress(OSError):
            self._show(event)

    def say(self, step: str, text: str, host: str = "") -> None:
        """Tell something in the middle of a step."""
        self.tell(Event(step, "said", host, text))

    @contextmanager
    def step(self, step: str, host: str = "", text: str = "") -> Iterator[None]:
        """Tell of the begin and the end of a step."""
        self.tell(Event(step, "begun", host, text))
        begun = time.monotonic()
        try:
            yield
        except BaseException as error:
            seconds = round(time.monotonic() - begun, 3)
            self.tell(Event(step, "failed", host, str(error) or type(error).__name__, seconds))
            raise
        self.tell(Event(step, "done", host, "", round(time.monotonic() - begun, 3)))
