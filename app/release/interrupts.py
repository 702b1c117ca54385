"""What Ctrl-C, SIGTERM and SIGHUP do to a run: the first takes hosts back, and none spoils that."""

from __future__ import annotations

import contextlib
import signal

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def raise_at_the_first() -> None:
    """Have the first of the signals raise KeyboardInterrupt, and ignore all after it."""

    def interrupt(_number: int, _frame: object) -> None:
        _ignore()
        raise KeyboardInterrupt

    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, interrupt)


def ignore_from_now_on() -> None:
    """Ignore the signals: what goes on now must come to its end."""
    # One that comes meanwhile has the others ignored as well.
    with contextlib.suppress(KeyboardInterrupt):
        _ignore()


def _ignore() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
