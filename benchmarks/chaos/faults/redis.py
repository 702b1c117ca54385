"""Redis killed, stopped, full and slow; and every visit that was acknowledged still counted.

The Redis is this fault's own, writes each command to disk before it answers (`appendfsync always`),
and counts nothing but the visits of this client.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from app.errors import StackError
from app.prctl import die_with_parent
from app.stack import binaries
from benchmarks.chaos.plot import Mark
from benchmarks.chaos.record import Record, percentile
from benchmarks.chaos.releases import ROOT
from benchmarks.chaos.site import Site, site, wait_for
from benchmarks.chaos.traffic import traffic
from benchmarks.chaos.verdicts import NotMeasurableError, Outcome, Verdict
from benchmarks.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RATE_HZ = 150.0
ANSWER_WITHIN_S = 0.25
BACK_WITHIN_S = 2.0
_AWAY_S = 1.5
_PATIENCE_S = 20.0
_SLOW_MS = 60
_UNAVAILABLE = 503
_KEY = "counter"


class Server:
    """A Redis on a port of its own."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self.port = free_port()
        self._command = (str(binary), "--port", str(self.port), "--bind", "127.0.0.1",
                         "--dir", str(folder), "--appendonly", "yes", "--appendfsync", "always",
                         "--save", "", "--maxmemory-policy", "noeviction",
                         "--hz", "100")  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            preexec_fn=lambda: die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - no thread here
        )  # fmt: skip
        wait_for(lambda: self.tell("PING").startswith("+PONG"), _PATIENCE_S, "Redis")

    def kill(self) -> None:
        """SIGKILL, and reaped."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self._process is not None:
            os.kill(self._process.pid, number)

    def tell(self, *words: str) -> str:
        """What it answers to a command; empty where it does not."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as client:
                client.sendall(b"*%d\r\n" % len(words))
                for word in words:
                    client.sendall(b"$%d\r\n%b\r\n" % (len(word), word.encode()))
                return client.recv(4096).decode()
        except OSError:
            return ""


@contextmanager
def _server() -> Iterator[Server]:
    try:
        binary = binaries.provide(binaries.REDIS, ROOT, os.environ["PATH"], print).path
    except StackError as error:
        raise NotMeasurableError(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="windlass-chaos-redis-") as folder:
        server = Server(binary, Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.kill()


def run(is_long: bool) -> Outcome:  # noqa: FBT001 - the one argument of every fault
    """Each trouble in turn, then killed again and again; then the account of all visits."""
    story = _Story()
    with _server() as server, site(REDIS_MANAGED="no", REDIS_HOST="127.0.0.1",
                                   REDIS_PORT=str(server.port)) as stack:  # fmt: skip
        with traffic(stack, RATE_HZ) as sent:
            time.sleep(1)
            story.away("stopped", lambda: server.signal(signal.SIGSTOP),
                       lambda: server.signal(signal.SIGCONT))  # fmt: skip
            story.away("full", lambda: server.tell("CONFIG", "SET", "maxmemory", "1"),
                       lambda: server.tell("CONFIG", "SET", "maxmemory", "0"))  # fmt: skip
            story.slow(server)
            for number in range(20 if is_long else 4):
                story.away(f"kill {number + 1}", server.kill, server.start)
        counted = int(server.tell("GET", _KEY).split("\r\n")[1])
        story.workers = len(stack.ready()) if _not_restarted(stack) else -1
    verdicts = [*story.verdicts(sent.record), *judge_counter(sent.record, counted)]
    return Outcome(verdicts, sent.record, {"counted": counted}, story.marks)


def judge_counter(record: Record, counted: int) -> list[Verdict]:
    """Whether every visit that a page acknowledged is in the counter, and none twice."""
    pages = record.where(lambda r: r.kind == "page").requests
    shown = [r.visits for r in pages if r.visits >= 0]
    twice = len(shown) - len(set(shown))
    lost = sum(visits > counted for visits in shown)
    return [
        Verdict("every acknowledged visit is in the counter",
                f"{len(shown):,} acknowledged, {counted:,} counted, {lost} beyond the counter",
                kept=bool(shown) and lost == 0 and counted >= len(shown)),
        Verdict("no number is shown twice", f"{twice} of {len(shown):,}", kept=twice == 0),
        Verdict("the counter holds no more than the requests that were sent",
                f"{counted:,} of {len(pages):,}", kept=counted <= len(pages)),
    ]  # fmt: skip


class _Story:
    """What was done to Redis and when; what was promised for each time."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self._slow: Mark | None = None
        self.workers = 0

    def away(self, name: str, begin: Callable[[], object], end: Callable[[], object]) -> None:
        """Have Redis away for a while, then as long again for what was promised afterwards."""
        begun = time.monotonic()
        begin()
        time.sleep(_AWAY_S)
        end()
        self.marks.append(Mark(name, begun, time.monotonic()))
        time.sleep(BACK_WITHIN_S + 1)

    def slow(self, server: Server) -> None:
        """Have every answer of Redis take up to `_SLOW_MS`, which is within its time.

        A pause ends with the next of Redis's own ticks, a hundredth of a second apart as it is
        started here; at its default of a tenth it would be far longer than was asked for.
        """
        begun = time.monotonic()
        while time.monotonic() < begun + _AWAY_S:
            server.tell("CLIENT", "PAUSE", str(_SLOW_MS))
            time.sleep(2 * _SLOW_MS / 1000)
        self._slow = Mark("slow", begun, time.monotonic())
        time.sleep(0.5)

    def verdicts(self, record: Record) -> list[Verdict]:
        """The promises, judged by a record."""
        pages = record.where(lambda r: r.kind == "page")
        others = record.where(lambda r: r.kind != "page")
        away = [r for mark in self.marks for r in pages.between(mark.begin, mark.end).requests]
        wrong = [r for r in pages.failed if r.status != _UNAVAILABLE]
        late = [r.ended - r.sent for r in away]
        seen = [m.name for m in self.marks if pages.between(m.begin, m.end).failed]
        back = [r for r in pages.failed if not any(_may_fail(m, r.sent) for m in self.marks)]
        slow = pages.between(self._slow.begin, self._slow.end) if self._slow else Record([])
        return [
            Verdict("while Redis is away a page is answered 503 within 250 ms (99 of 100)",
                    f"{len(away)} pages, p99 {percentile(late, 99) * 1000:.0f} ms, "
                    f"{len(wrong)} with another outcome",
                    kept=bool(away) and not wrong and percentile(late, 99) <= ANSWER_WITHIN_S,
                    is_time=bool(away) and not wrong),
            Verdict("control: pages are refused in every one of these times",
                    f"in {len(seen)} of {len(self.marks)}", kept=len(seen) == len(self.marks)),
            Verdict("everything else goes on",
                    f"{len(others.failed)} of {len(others.requests):,} failed",
                    kept=not others.failed and bool(others.requests)),
            Verdict("pages count again within 2 s of its return",
                    f"{len(back)} failed later than that", kept=not back, is_time=True),
            Verdict(f"a Redis that takes up to {_SLOW_MS} ms fails no page",
                    f"{len(slow.failed)} of {len(slow.requests)}",
                    # What stands still for a tenth of a second more runs out of the time of a call.
                    kept=bool(slow.requests) and not slow.failed, is_time=bool(slow.requests)),
            Verdict("no worker was restarted", "none" if self.workers > 0 else "some",
                    kept=self.workers > 0),
        ]  # fmt: skip


def _may_fail(mark: Mark, at: float) -> bool:
    return mark.begin - ANSWER_WITHIN_S <= at <= mark.end + BACK_WITHIN_S


def _not_restarted(stack: Site) -> bool:
    return all(slot.restarts == 0 for slot in stack.master.slots)
