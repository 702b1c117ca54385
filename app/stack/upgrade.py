"""A changed Nginx: the new binary takes over from the old one while both serve.

Nginx's own way, with a look between the steps: the old master starts the new one, which inherits
the listening sockets; the old workers finish; once the new ones have answered, the old master ends.
Until then it can be called back, and is when they do not answer. `app.stack.keeper` is the process
that supervisord sees throughout.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from app.errors import StackError
from app.files import write_whole
from app.stack.keeper import read_pid

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.stack.layout import Layout

_START_TIMEOUT_S = 20.0
_REFUSAL_S = 3.0
_DRAIN_LOOK_S = 5.0
_END_TIMEOUT_S = 30.0
_POLL_S = 0.02


def link(layout: Layout) -> Path:
    """The path by which Nginx is run: a link, so that the same command may run another binary."""
    return layout.run / "nginx"


def pid_file(layout: Layout) -> Path:
    """Where Nginx's newest master writes its pid."""
    return layout.run / "nginx.pid"


def point(layout: Layout, executable: Path) -> None:
    """Have the link name this binary from now on."""
    half = layout.run / f".nginx.{os.getpid()}"
    half.unlink(missing_ok=True)
    half.symlink_to(executable)
    half.replace(link(layout))


def is_due(layout: Layout, executable: Path) -> bool:
    """Whether Nginx runs, kept by `app.stack.keeper`, and from another binary than this."""
    try:
        running = Path(f"/proc/{read_pid(pid_file(layout))}/exe").stat()
        return link(layout).is_symlink() and not os.path.samestat(running, executable.stat())
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the binary, with the configuration that goes with it.

    Attributes:
        layout: of the stack.
        executable: the new binary.
        command: with which the new binary would be started afresh.
        conf: the file of the configuration.
        text: the new configuration, tested with the new binary.
        answers: whether the service answers through Nginx.
    """

    layout: Layout
    executable: Path
    command: tuple[str, ...]
    conf: Path
    text: str
    answers: Callable[[], bool]

    def run(self) -> None:
        """Change the binary; returns once the new one serves and the old one has been told to end.

        Raises:
            StackError: the new one does not serve; the old one does, with its configuration.
        """
        old = self._old_master()
        before = link(self.layout).readlink(), self.conf.read_text()
        self._put(self.executable, self.text)
        os.kill(old, signal.SIGUSR2)
        try:
            new = self._new_master(old)
        except StackError:
            self._put(*before)
            raise
        os.kill(old, signal.SIGWINCH)
        # Only the new workers accept from here on; what answers is one of them.
        _comes_true(lambda: not _workers(old, but=new), _DRAIN_LOOK_S)
        if not _comes_true(self.answers, _START_TIMEOUT_S):
            self._put(*before)
            self._call_back(old, new)
            raise StackError("The new Nginx does not answer; the old one serves. "
                             "See: windlass logs nginx")  # fmt: skip
        os.kill(old, signal.SIGQUIT)
        # What it still has under way may outlast this; only the next change would have to wait.
        _comes_true(lambda: not psutil.pid_exists(old), _END_TIMEOUT_S)

    def _old_master(self) -> int:
        file = pid_file(self.layout)
        last = file.with_name(f"{file.name}.oldbin")
        if not _comes_true(lambda: not psutil.pid_exists(read_pid(last) or -1), _END_TIMEOUT_S):
            raise StackError(
                "The Nginx of the last change still finishes what it has under way; try again later"
            )
        old = read_pid(file)
        told = Path(f"/proc/{old}/cmdline").read_bytes().decode().partition("master process ")[2]
        arguments = told.rstrip("\0 ").removeprefix(str(link(self.layout))).strip()
        if arguments != " ".join(self.command[1:]):
            raise StackError(
                f"{self.executable} is started with other options than the Nginx that runs; "
                "change it by: windlass down, windlass up -d"
            )
        return old

    def _new_master(self, old: int) -> int:
        """Wait until a new master has its workers.

        Raises:
            StackError: there is none in time.
        """
        begun = time.monotonic()
        found = 0

        def is_decided() -> bool:
            nonlocal found
            found = read_pid(pid_file(self.layout))
            # The old master takes its pid file away at once, and puts it back if the new one ends.
            is_back = found == old and time.monotonic() - begun > _REFUSAL_S
            return is_back or (found not in {0, old} and bool(_workers(found)))

        if not _comes_true(is_decided, _START_TIMEOUT_S) or found == old:
            raise StackError(
                f"{self.executable} does not start beside the Nginx that runs, which goes on; "
                "see: windlass logs nginx"
            )
        return found

    def _put(self, executable: Path, text: str) -> None:
        write_whole(self.conf, text.encode())
        point(self.layout, executable)

    def _call_back(self, old: int, new: int) -> None:
        os.kill(old, signal.SIGHUP)  # starts its workers again
        _comes_true(lambda: bool(_workers(old, but=new)), _START_TIMEOUT_S)
        os.kill(new, signal.SIGQUIT)
        _comes_true(lambda: not psutil.pid_exists(new), _END_TIMEOUT_S)


def _workers(master: int, *, but: int = 0) -> list[int]:
    try:
        children = psutil.Process(master).children()
    except psutil.NoSuchProcess:
        return []
    return [child.pid for child in children if child.pid != but]


def _comes_true(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True
