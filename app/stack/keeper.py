"""What supervisord runs as Nginx: a process that stays while Nginx's masters follow one another.

Nginx changes its binary by having its master start the new one, which inherits the listening
sockets; then the old one ends. supervisord would take that for a death and start a second Nginx. So
it is given this process, which becomes the parent of whichever master is left, hands signals on to
it, and ends when there is none.

Two facts shape it. A process whose parent ends goes to its nearest ancestor that asked for orphans
(`PR_SET_CHILD_SUBREAPER`); by that the new master becomes ours. And a master refuses to change its
binary while the parent with which it started is there, as it takes itself for one that is being
tried out; so the first master is started by a process that ends once Nginx runs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from app.prctl import adopt_orphans

_ENDING = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}
_PASSED_ON = {*_ENDING, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH}
_POLL_S = 0.01


def argv(pid_file: Path, command: tuple[str, ...]) -> tuple[str, ...]:
    """The command that keeps Nginx.

    Args:
        pid_file: where Nginx's configuration has its master write its pid.
        command: of Nginx, with `daemon off` in its configuration. Its executable is the path that
            a change of the binary runs anew.
    """
    return (sys.executable, "-m", "app.stack.keeper", str(pid_file), *command)


def main(arguments: list[str]) -> int:
    """Keep Nginx until its last master has ended; returns that one's exit code."""
    pid_file, *command = arguments
    adopt_orphans()
    signal.pthread_sigmask(signal.SIG_BLOCK, {*_PASSED_ON, signal.SIGCHLD})
    return _Keeper(Path(pid_file), command).run()


class _Keeper:
    def __init__(self, pid_file: Path, command: list[str]) -> None:
        self._pid_file = pid_file
        self._command = command
        self._starter = 0
        self._master = 0

    def run(self) -> int:
        self._pid_file.unlink(missing_ok=True)
        self._starter, self._master = _start(self._pid_file, self._command)
        while True:
            number = signal.sigwait({*_PASSED_ON, signal.SIGCHLD})
            if number == signal.SIGCHLD:
                code = self._reap()
                if code is not None:
                    return code
            else:
                self._pass_on(signal.Signals(number))

    def _reap(self) -> int | None:
        """Take note of who has ended; the exit code when that was the last master."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 1
            if pid == 0:
                return None
            code = os.waitstatus_to_exitcode(status)
            if pid == self._starter and code != 0:
                return code if code > 0 else 1
            if pid == self._master:
                self._master = self._successor()
                if self._master == 0:
                    # A negative code is a death by signal. Whoever starts the next Nginx ends the
                    # workers that are left without a master.
                    return code if code >= 0 else 1

    def _successor(self) -> int:
        """The master that the last one has started, ours since that ended; 0 for none."""
        pid = read_pid(self._pid_file)
        if pid == 0:
            return 0
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return 0
        return pid

    def _pass_on(self, number: signal.Signals) -> None:
        newest = read_pid(self._pid_file) or self._master
        # While one master replaces another, the end is meant for both.
        for pid in {self._master, newest} if number in _ENDING else {newest}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def read_pid(pid_file: Path) -> int:
    """The pid in a file; 0 where there is none."""
    try:
        return int(pid_file.read_text())
    except (OSError, ValueError):
        return 0


def _start(pid_file: Path, command: list[str]) -> tuple[int, int]:
    """Start the first master by a process that ends once it runs; returns the pids of both."""
    reader, writer = os.pipe()
    starter = os.fork()
    if starter:
        os.close(writer)
        with os.fdopen(reader, "rb") as said:
            return starter, int(said.read() or b"0")
    code = 1
    try:
        os.close(reader)
        code = _be_starter(writer, pid_file, command)
    finally:
        os._exit(code)


def _be_starter(writer: int, pid_file: Path, command: list[str]) -> int:
    master = os.fork()
    if master == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {*_PASSED_ON, signal.SIGCHLD})
        os.execv(command[0], command)  # noqa: S606 - an argv, no shell
    os.write(writer, str(master).encode())
    os.close(writer)
    while read_pid(pid_file) != master:
        ended, status = os.waitpid(master, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code > 0 else 1
        time.sleep(_POLL_S)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
