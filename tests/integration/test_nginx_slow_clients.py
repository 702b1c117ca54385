"""Clients that take their time on purpose: cut off within the limits, nobody else harmed.

`SLOW_CLIENTS=2000` in the environment makes it the long form.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from tests.nginx_front import Front, running

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENTS = int(os.environ.get("SLOW_CLIENTS", "200"))
TIMEOUT_S = 3
# How late a cut may come on a machine that is busy; without limits it would not come at all.
PATIENCE_S = 30
MOST_MEMORY_PER_CLIENT = 256 << 10

HEAD = b"POST /data HTTP/1.1\r\nHost: a\r\n"


@dataclass
class Slow:
    """One such client: what it sends at once, what byte by byte, and when it was cut off."""

    connection: socket.socket
    drip: bytes = b""
    begun: float = field(default_factory=time.monotonic)
    cut_after_s: float | None = None


def slow_head(front: Front) -> Slow:
    return Slow(front.connect(), HEAD + b"X: " + b"x" * 2000)


def begun_head(front: Front) -> Slow:
    """Begins a head and says no more."""
    slow = Slow(front.connect())
    slow.connection.sendall(HEAD)
    return slow


def unfinished_body(front: Front) -> Slow:
    slow = Slow(front.connect())
    slow.connection.sendall(HEAD + b"Content-Length: 50000\r\n\r\n" + b"x" * 100)
    return slow


def unfinished_chunks(front: Front) -> Slow:
    slow = Slow(front.connect())
    slow.connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n100\r\nxx")
    return slow


def unread_answer(front: Front) -> Slow:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", front.port))
    connection.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
    return Slow(connection)


KINDS = (*(slow_head, begun_head, unfinished_body, unfinished_chunks) * 2, unread_answer)


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
        clients += [KINDS[number % len(KINDS)](front) for number in range(CLIENTS)]
        peak = wait_until_cut(front, clients)
    finally:
        ordinary.stop()
        for client in clients:
            client.connection.close()
    assert [client for client in clients if client.cut_after_s is None] == []
    assert ordinary.failures == []
    assert len(ordinary.durations_s) > 20
    assert (peak - before) / CLIENTS < MOST_MEMORY_PER_CLIENT
    late = max(client.cut_after_s or 0 for client in clients)
    worst = max(ordinary.durations_s)
    sys.stdout.write(
        f"{CLIENTS} slow clients, limit {TIMEOUT_S} s: the last cut off after {late:.1f} s, "
        f"{(peak - before) / CLIENTS / 1024:.0f} KiB each at the most; beside them "
        f"{len(ordinary.durations_s)} requests, the longest {worst * 1000:.0f} ms\n"
    )
    reached = [request.target for request in front.workers.seen if request.method == "POST"]
    assert reached == [], "no worker hears of what is not whole"


def wait_until_cut(front: Front, clients: list[Slow]) -> int:
    """Note when each is cut off; returns the most memory seen meanwhile."""
    poll = select.poll()
    waiting = {client.connection.fileno(): client for client in clients}
    for number, client in waiting.items():
        client.connection.settimeout(0)
        # An answer that nobody reads must stay unread: errors and hang-ups come unasked.
        reads = (
            client.drip or client.connection.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) > 9000
        )
        poll.register(number, select.POLLIN if reads else 0)
    deadline = time.monotonic() + TIMEOUT_S + PATIENCE_S
    peak = 0
    while waiting and time.monotonic() < deadline:
        for number, event in poll.poll(100):
            client = waiting[number]
            if is_cut(client, event):
                client.cut_after_s = time.monotonic() - client.begun
                poll.unregister(number)
                del waiting[number]
        for client in waiting.values():
            if client.drip:
                with contextlib.suppress(OSError):
                    client.connection.send(client.drip[:1])
                    client.drip = client.drip[1:]
        peak = max(peak, memory(front))
    return peak


def is_cut(client: Slow, event: int) -> bool:
    if event & (select.POLLERR | select.POLLHUP | select.POLLNVAL):
        return True
    try:
        return not client.connection.recv(65536)
    except BlockingIOError:
        return False
    except OSError:
        return True
