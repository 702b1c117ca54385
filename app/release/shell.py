"""The one place where commands of a release are executed: with a deadline, and reaped.

A command gets no terminal and no standard input but what it is handed. One that takes too long is
ended with all that it has started, and so is one whose caller is interrupted; callers that are
threads are not, and `end_running` is for them.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LAST_WORDS = 2000


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended by itself.

    Attributes:
        code: its exit code; below 0 the signal that ended it.
    """

    code: int
    output: str
    errors: str


@dataclass(frozen=True, slots=True)
class Shell:
    """Executes commands.

    Attributes:
        environ: of the commands.
    """

    environ: Mapping[str, str]
    _running: set[subprocess.Popen[str]] = field(default_factory=set, repr=False, compare=False)

    def end_running(self) -> None:
        """End every command that runs now; whoever waits for one is told that it was killed."""
        for process in tuple(self._running):
            if process.returncode is None:
                _kill(process)

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        given: str = "",
        environ: Mapping[str, str] | None = None,
    ) -> str:
        """Execute a command and return what it printed.

        Raises:
            CommandError: it cannot be executed, fails or takes longer than `timeout_s`.
        """
        done = self.attempt(argv, timeout_s=timeout_s, given=given, environ=environ)
        if done.code != 0:
            raise CommandError(f"{shown(argv)} failed ({_how(done.code)}):\n{last_words(done)}")
        return done.output

    def attempt(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        given: str = "",
        environ: Mapping[str, str] | None = None,
    ) -> Done:
        """As `run`, where a failure is an answer too.

        Raises:
            CommandError: it cannot be executed, or takes longer than `timeout_s`.
        """
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                text=True, errors="replace", start_new_session=True,
                env=self.environ if environ is None else environ,
            )  # fmt: skip
        except OSError as error:
            raise CommandError(
                f"{argv[0]} cannot be executed ({error.strerror}); is it installed and in PATH?"
            ) from error
        self._running.add(process)
        try:
            output, errors = process.communicate(given, timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise CommandError(f"{shown(argv)} took longer than {timeout_s:g} s") from error
        finally:
            self._running.discard(process)
            _end(process)
        return Done(process.returncode, output, errors)


class Conversation:
    """A command that answers each line that it is given with a line; ended by `close`.

    Raises:
        CommandError: it cannot be executed.
    """

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str]) -> None:
        self._argv = argv
        self._rest = b""
        try:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                bufsize=0, start_new_session=True, env=environ,
            )  # fmt: skip
        except OSError as error:
            raise CommandError(f"{argv[0]} cannot be executed ({error.strerror})") from error

    def ask(self, line: bytes, timeout_s: float) -> bytes:
        """Give a line and return the answer, both without their end.

        Raises:
            CommandError: the command has ended, or does not answer in time; close it.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise CommandError(f"{shown(self._argv)} has no pipes")
        deadline = time.monotonic() + timeout_s
        try:
            stdin.write(line + b"\n")
        except OSError as error:
            raise CommandError(f"{shown(self._argv)} has ended") from error
        while b"\n" not in self._rest:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([stdout], [], [], left_s)[0]:
                raise CommandError(f"{shown(self._argv)} gave no answer within {timeout_s:g} s")
            part = os.read(stdout.fileno(), 65536)
            if not part:
                raise CommandError(f"{shown(self._argv)} has ended")
            self._rest += part
        answer, _, self._rest = self._rest.partition(b"\n")
        return answer

    def close(self) -> None:
        """End the command, with all that it has started."""
        _end(self._process)


def shown(argv: Sequence[str]) -> str:
    """A command as people read it: without what is long and says nothing."""
    words = [word if len(word) < 100 else f"{word[:97]}..." for word in argv]
    return " ".join(words[:12]) + (" ..." if len(words) > 12 else "")


def last_words(done: Done) -> str:
    """The end of what a command said, of its complaints first."""
    return (done.errors.strip() or done.output.strip())[-_LAST_WORDS:]


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"ended by {signal.Signals(-code).name}"


def _kill(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _end(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        _kill(process)
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            stream.close()
