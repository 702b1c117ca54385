"""Clients that take their time on purpose, at the whole stack: cut off, nobody else harmed."""

from __future__ import annotations

import contextlib
import resource
import time
from typing import TYPE_CHECKING

import psutil

from benchmarks.chaos.plot import Mark
from benchmarks.chaos.site import Site, site
from benchmarks.chaos.slow import KINDS, MOST_BYTES_EACH, Slow, open_one, until_cut
from benchmarks.chaos.traffic import traffic
from benchmarks.chaos.verdicts import NotMeasurableError, Outcome, Verdict, none_failed

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE_HZ = 100.0
TIMEOUT_S = 3
CUT_WITHIN_S = 3 * TIMEOUT_S
"""The limit, and once more for a client whose last byte came just before it, and for a machine that
is busy with all of them at a time."""
_PATIENCE_S = 30.0
_BIG = "unread.0123456789abcdef.txt"
_BIG_BYTES = 16 << 20
"""More than the kernel keeps for one connection."""


def run(is_long: bool) -> Outcome:  # noqa: FBT001 - the one argument of every fault
    """Open them all, and wait until each has been cut off."""
    count = 2000 if is_long else 400
    with _descriptors(count + 500), site(CLIENT_TIMEOUT_S=str(TIMEOUT_S)) as stack:
        workers = {child.pid for child in stack.ready().values()}
        (stack.state / "static" / _BIG).write_bytes(bytes(_BIG_BYTES))
        with traffic(stack, RATE_HZ) as sent:
            time.sleep(1)
            begun = time.monotonic()
            before = _memory(stack)
            clients: list[Slow] = []
            try:
                clients += (
                    open_one(KINDS[number % len(KINDS)], stack.port, posts_to="/calculator",
                             reads=f"/static/{_BIG}")
                    for number in range(count)
                )  # fmt: skip
                peak = until_cut(clients, _PATIENCE_S, lambda: _memory(stack))
            finally:
                for client in clients:
                    client.connection.close()
            marks = [Mark(f"{count} slow clients", begun, time.monotonic())]
        same = workers == {child.pid for child in stack.ready().values()}
    return Outcome(
        [*judge(clients, peak - before),
         Verdict("no worker is replaced", "none" if same else "some", kept=same),
         *none_failed(sent.record)],
        sent.record, {"clients": count, "grown_bytes": peak - before}, marks,
    )  # fmt: skip


def judge(clients: list[Slow], grown: int) -> list[Verdict]:
    """Whether each was cut off in time, and what Nginx spent on all of them, in bytes."""
    cut = [client.cut_after_s for client in clients if client.cut_after_s is not None]
    left = [client.kind for client in clients if client.cut_after_s is None]
    late = max(cut, default=0.0)
    return [
        Verdict(f"each is cut off, at the latest after {CUT_WITHIN_S} s with a limit of "
                f"{TIMEOUT_S} s", f"{len(cut)} of {len(clients)}, the last after {late:.1f} s"
                + (f"; left: {', '.join(sorted(set(left)))}" if left else ""),
                kept=bool(clients) and not left and late <= CUT_WITHIN_S,
                is_time=bool(clients) and not left),
        Verdict("memory is bounded: at most 256 KiB of Nginx for each",
                f"{grown / max(len(clients), 1) / 1024:.0f} KiB each",
                kept=grown <= MOST_BYTES_EACH * len(clients)),
    ]  # fmt: skip


def _memory(stack: Site) -> int:
    """Bytes that Nginx's processes hold for themselves."""
    total = 0
    for process in stack.processes():
        with contextlib.suppress(psutil.Error):
            if process.name() == "nginx":
                found = process.memory_info()
                total += found.rss - found.shared
    return total


@contextlib.contextmanager
def _descriptors(wanted: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise NotMeasurableError(f"only {hard} open files are allowed, {wanted} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
