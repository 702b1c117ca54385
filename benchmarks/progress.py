"""How far a measurement is, on standard error.

It is drawn between two pieces of work and never while one runs: nothing here has a thread, which
would take its share of the CPU from what is measured. Where standard error is no terminal, a line
says what begins, and another every ten seconds how far it is and how long it will take.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import progress
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

_REDRAW_S = 0.2
_LINE_S = 10.0


class Progress:
    """Tells how far a measurement is.

    Args:
        console: of standard error.
        clock: seconds that only grow.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock

    @contextmanager
    def steps(self, what: str, total: int) -> Iterator[Callable[[], None]]:
        """Announce work of so many steps; the block calls what it is given after each."""
        if self._console.is_terminal:
            with self._bar(what, total) as step:
                yield step
        else:
            yield self._lines(what, total)

    @contextmanager
    def _bar(self, what: str, total: int) -> Iterator[Callable[[], None]]:
        columns = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
        )
        bar = progress.Progress(*columns, console=self._console, auto_refresh=False, transient=True)
        drawn = -_REDRAW_S

        def step() -> None:
            nonlocal drawn
            bar.advance(task)
            if self._clock() - drawn >= _REDRAW_S:
                drawn = self._clock()
                bar.refresh()

        with bar:
            task = bar.add_task(what, total=total)
            bar.refresh()
            yield step

    def _lines(self, what: str, total: int) -> Callable[[], None]:
        self._say(f"{what}, {total:,} steps")
        begun = said = self._clock()
        done = 0

        def step() -> None:
            nonlocal said, done
            done += 1
            if self._clock() - said >= _LINE_S:
                said = self._clock()
                left_s = (said - begun) / done * (total - done)
                self._say(f"{what}, {minutes(left_s)} left: {done:,} of {total:,}")

        return step

    def _say(self, text: str) -> None:
        self._console.print(Text(f"bench: {text}"))


def minutes(seconds: float) -> str:
    """A time for people."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
