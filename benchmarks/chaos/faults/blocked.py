"""Event loops that stand still are replaced; those that are merely short of CPU are not.

The release whose handlers block is made here: no handler of the service does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from app.prctl import die_with_parent
from benchmarks.chaos.plot import Mark
from benchmarks.chaos.releases import Change
from benchmarks.chaos.site import Site, site, wait_for
from benchmarks.chaos.traffic import traffic
from benchmarks.chaos.verdicts import Outcome, Verdict, none_failed, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RATE_HZ = 100.0
TIMEOUT_S = 3
REPLACED_WITHIN_S = 5.0
_PATIENCE_S = 40.0
_OPERATION = "    def get(self, operation: str) -> None:\n"
_BLOCKS = Change(
    "app/web/calculator.py",
    _OPERATION
    + '        """Block on purpose."""\n'
    + "        import re, time\n"
    + "        if self.get_query_argument('a') == 'sleep':\n"
    + "            time.sleep(60)\n"
    + "        if self.get_query_argument('a') == 'spin':\n"
    + "            re.match('(a+)+$', 'a' * 64 + 'b')\n",
    _OPERATION,
)


def run(is_long: bool) -> Outcome:  # noqa: FBT001 - the one argument of every fault
    """Stop a worker, have a handler sleep, have one hold the interpreter in C."""
    times_s: dict[str, list[float]] = {"SIGSTOP": [], "time.sleep(60)": [], "C loop": []}
    marks: list[Mark] = []
    with site(HEARTBEAT_TIMEOUT_S=str(TIMEOUT_S)) as stack:
        stack.install(stack.make("blocking", _BLOCKS))
        done = stack.windlass("reload")
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip()[-300:])
        with traffic(stack, RATE_HZ) as sent:
            for _ in range(5 if is_long else 1):
                for name, block in (
                    ("SIGSTOP", _stop), ("time.sleep(60)", _ask("sleep")), ("C loop", _ask("spin")),
                ):  # fmt: skip
                    time.sleep(1)
                    begun = time.monotonic()
                    times_s[name].append(_replaced_after_s(stack, block))
                    marks.append(Mark(name, begun, time.monotonic()))
        log = stack.log("web")
    verdicts = [within(f"{name}: another worker is ready within 5 s", found, REPLACED_WITHIN_S)
                for name, found in times_s.items()]  # fmt: skip
    # A stopped process runs no handler, not even that which would say where it stood.
    traced = log.count("most recent call first")
    blocked = log.count("worker blocked")
    verdicts.append(
        Verdict("the log says that a worker was blocked, and where it stood",
                f"{blocked} said to be blocked, {traced} tracebacks",
                kept=blocked >= len(marks) and traced >= len(marks) * 2 // 3
                and "calculator.py" in log)
    )  # fmt: skip
    idempotent = sent.record.where(lambda r: r.idempotent)
    verdicts.append(
        Verdict("no idempotent request fails",
                f"{len(idempotent.failed)} of {len(idempotent.requests):,} failed, of the others "
                f"{len(sent.record.failed) - len(idempotent.failed)}",
                kept=bool(idempotent.requests) and not idempotent.failed)
    )  # fmt: skip
    return Outcome(verdicts, sent.record, {"replaced_s": times_s}, marks)


def _replaced_after_s(stack: Site, block: Callable[[Site, int], socket.socket | None]) -> float:
    victim = stack.ready()[0].pid
    asking = block(stack, victim)
    try:
        return wait_for(lambda: stack.ready().get(0) is not None
                        and stack.ready()[0].pid != victim, _PATIENCE_S,
                        "another worker")  # fmt: skip
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGCONT)
        if asking is not None:
            asking.close()


def _stop(_stack: Site, victim: int) -> None:
    os.kill(victim, signal.SIGSTOP)


def _ask(how: str) -> Callable[[Site, int], socket.socket | None]:
    def ask(stack: Site, _victim: int) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.connect(stack.sockets[0])
        client.sendall(f"GET /calculator/add?a={how}&b=1 HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        return client

    return ask


def overload(is_long: bool) -> Outcome:  # noqa: FBT001
    """Keep twice as many processes busy as there are CPUs: nobody may be taken for dead."""
    with site(HEARTBEAT_TIMEOUT_S=str(TIMEOUT_S)) as stack:
        before = {child.pid for child in stack.ready().values()}
        with traffic(stack, RATE_HZ) as sent, _busy(2 * len(os.sched_getaffinity(0))):
            begun = time.monotonic()
            time.sleep(600 if is_long else 12)
            marks = [Mark("busy", begun, time.monotonic())]
        after = {child.pid for child in stack.ready().values()}
        blocked = stack.log("web").count("worker blocked")
    return Outcome(
        [Verdict(f"no worker is killed with a limit of {TIMEOUT_S} s",
                 f"{len(before - after)} replaced, {blocked} said to be blocked",
                 kept=before == after and not blocked),
         *none_failed(sent.record)],
        sent.record, marks=marks,
    )  # fmt: skip


@contextlib.contextmanager
def _busy(count: int) -> Iterator[None]:
    command = (sys.executable, "-c", "while True: pass")
    made = [
        subprocess.Popen(command, preexec_fn=lambda: die_with_parent(signal.SIGKILL))  # noqa: PLW1509 - no thread here
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for process in made:
            process.kill()
            process.wait()
