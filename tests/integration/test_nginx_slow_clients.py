"""Clients that take their time on purpose: cut off within the limits, nobody else harmed.

`SLOW_CLIENTS=2000` in the environment makes it the long form.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from benchmarks.chaos.slow import KINDS, MOST_BYTES_EACH, Slow, open_one, until_cut
from tests.nginx_front import Front, running

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENTS = int(os.environ.get("SLOW_CLIENTS", "200"))
TIMEOUT_S = 3
# How late a cut may come on a machine that is busy; without limits it would not come at all.
PATIENCE_S = 30


class Ordinary(threading.Thread):
    """Ordinary requests meanwhile: what went wrong and how long each took."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._stopping = threading.Event()
        self.failures: list[str] = []
        self.durations_s: list[float] = []

    def run(self) -> None:
        with httpx.Client(timeout=20) as kept:
            while not self._stopping.wait(0.02):
                for get in (kept.get, httpx.get):
                    begun = time.monotonic()
                    try:
                        status = get(self._url + "/data").status_code
                        if status != 200:
                            self.failures.append(str(status))
                    except httpx.HTTPError as error:
                        self.failures.append(repr(error))
                    self.durations_s.append(time.monotonic() - begun)

    def stop(self) -> None:
        self._stopping.set()
        self.join()


@pytest.fixture
def front() -> Iterator[Front]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with running(CLIENT_TIMEOUT_S=str(TIMEOUT_S)) as started:
        yield started
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def memory(front: Front) -> int:
    """Bytes that Nginx's workers hold for themselves."""
    workers = psutil.Process(front.process.pid).children()
    return sum(int(worker.memory_info().rss - worker.memory_info().shared) for worker in workers)


def test_slow_clients_are_cut_off_and_others_unharmed(front: Front) -> None:
    ordinary = Ordinary(front.url)
    ordinary.start()
    before = memory(front)
    clients: list[Slow] = []
    try:
        clients += [
            open_one(KINDS[number % len(KINDS)], front.port, posts_to="/data", reads="/big")
            for number in range(CLIENTS)
        ]
        peak = until_cut(clients, TIMEOUT_S + PATIENCE_S, lambda: memory(front))
    finally:
        ordinary.stop()
        for client in clients:
            client.connection.close()
    assert [client for client in clients if client.cut_after_s is None] == []
    assert ordinary.failures == []
    assert len(ordinary.durations_s) > 20
    assert (peak - before) / CLIENTS < MOST_BYTES_EACH
    late = max(client.cut_after_s or 0 for client in clients)
    worst = max(ordinary.durations_s)
    sys.stdout.write(
        f"{CLIENTS} slow clients, limit {TIMEOUT_S} s: the last cut off after {late:.1f} s, "
        f"{(peak - before) / CLIENTS / 1024:.0f} KiB each at the most; beside them "
        f"{len(ordinary.durations_s)} requests, the longest {worst * 1000:.0f} ms\n"
    )
    reached = [request.target for request in front.workers.seen if request.method == "POST"]
    assert reached == [], "no worker hears of what is not whole"
