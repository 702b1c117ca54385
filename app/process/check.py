"""The check of a release before it is executed: a program that says by its exit code if it is fit.

Runs beside the master's loop, with a deadline; what it prints is kept for the log, and its last
words become the reason of a refusal.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

POLL_S = 0.05
_LONGEST_OUTPUT = 65536
_LONGEST_REASON = 600


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check has found.

    Attributes:
        is_fit: whether the release may take over.
        reason: why not, as a part of a sentence.
        output: all that the check has printed.
    """

    is_fit: bool
    reason: str
    output: str


@dataclass(frozen=True, slots=True)
class Check:
    """A check under way.

    Attributes:
        process: that runs it.
        deadline: monotonic time by which it must have ended.
    """

    process: subprocess.Popen[bytes]
    deadline: float
    _output_fd: int

    @classmethod
    def start(cls, argv: tuple[str, ...], environ: Mapping[str, str], timeout_s: float) -> Check:
        """Start a check.

        Raises:
            OSError: it cannot be executed.
        """
        # In memory rather than a pipe, which a check that prints much would fill and wait for.
        output = os.memfd_create("windlass-check", os.MFD_CLOEXEC)
        try:
            process = subprocess.Popen(
                argv, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        except OSError:
            os.close(output)
            raise
        return cls(process, time.monotonic() + timeout_s, output)

    def verdict(self) -> Verdict | None:
        """What it has found, once; None while it goes on and may."""
        code = self.process.poll()
        if code is None and time.monotonic() < self.deadline:
            return None
        output = self.abandon()
        if code == 0:
            return Verdict(is_fit=True, reason="", output=output)
        how = "gave no verdict in time" if code is None else (last_words(output) or f"exit {code}")
        return Verdict(is_fit=False, reason=f"the check of the new code says: {how}", output=output)

    def abandon(self) -> str:
        """End it if it still runs, and reap it; returns what it has printed."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        output = os.pread(self._output_fd, _LONGEST_OUTPUT, 0)
        os.close(self._output_fd)
        return output.decode(errors="replace")


def last_words(output: str) -> str:
    """What is wrong, of a check's output: a failed finding with its details, or the last line."""
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    failed = [number for number, line in enumerate(lines) if line.startswith("failed ")]
    if not failed:
        return lines[-1].strip()[:_LONGEST_REASON] if lines else ""
    finding, *rest = lines[failed[-1] :]
    details = itertools.takewhile(lambda line: line.startswith(" "), rest)
    words = [finding.removeprefix("failed"), *details]
    return " ".join(word.strip() for word in words)[:_LONGEST_REASON]
