"""One process that serves on a port, without Nginx: CPU of the server for each request, paired.

The kernel's work for the server's sockets is counted, the client's is not. CPU time is what is
compared, so it holds on a machine that has other work as well, where requests a second do not.
"""

from __future__ import annotations

import contextlib
import random
import socket
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.http.cpu import spent_s
from benchmarks.machine import ROOT
from benchmarks.open_loop import request_of
from benchmarks.peers.paths import PAYLOAD
from benchmarks.peers.probe import answers
from benchmarks.peers.processes import Command, running
from benchmarks.peers.session import UnmeasuredError
from benchmarks.ports import free_port
from benchmarks.telemetry.arms import ARMS, server_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import psutil

_CONNECTIONS = 16
_PATIENCE_S = 300.0
_TIMEOUT_S = 60.0
_POLL_S = 0.1
REQUESTS: Mapping[str, bytes] = {
    "/health": request_of("GET", "/health"),
    "/calculator": request_of("GET", "/calculator").replace(
        b"\r\n\r\n", b"\r\nAccept: text/html\r\n\r\n", 1
    ),
    "/productionplan": request_of("POST", "/productionplan", PAYLOAD.read_bytes()),
}

Spent = dict[str, dict[str, list[float]]]
"""By path and arm: seconds of CPU of the server for a request, in the order of the rounds."""


def measure(rounds: int, requests: int, seed: int, say: Callable[[str], None]) -> Spent:
    """Let every arm's server answer the same requests, in turns.

    Raises:
        UnmeasuredError: a server does not come up, or answers wrongly.
    """
    rng = random.Random(seed)
    found: Spent = {path: {arm: [] for arm in ARMS} for path in REQUESTS}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="windlass-bench-")))
        served = _served(folder, stack)
        for number in range(rounds + 1):
            say(f"round {number} of {rounds}")
            for path, plain in REQUESTS.items():
                order = list(ARMS)
                rng.shuffle(order)
                for arm in order:
                    process, port = served[server_of(arm)]
                    request = ARMS[arm].request(plain)
                    with _connected(port) as clients:
                        _ask(clients, request, len(clients))
                        before = spent_s([process])
                        _ask(clients, request, requests)
                        spent = (spent_s([process]) - before) / requests
                    if number:  # the first round warms up
                        found[path][arm].append(spent)
    return found


def _served(folder: Path, stack: ExitStack) -> dict[str, tuple[psutil.Process, int]]:
    """Start the servers; each with its port."""
    (folder / "empty.env").touch()
    started = {}
    for name in dict.fromkeys(map(server_of, ARMS)):
        port = free_port()
        settings = {
            "ENVIRONMENT": "PROD", "HOST": "127.0.0.1", "PORT": str(port), "PLAN_PORT": "",
            "STATE_DIR": str(folder), "WINDLASS_ENV_FILE": str(folder / "empty.env"),
            "REDIS_URL": f"unix://{folder}/none", **ARMS[name].settings,
        }  # fmt: skip
        command = Command((sys.executable, "-m", "benchmarks.peers.apps.windlass"), settings, ROOT)
        log = folder / f"{name.replace(' ', '-')}.log"
        started[name] = (stack.enter_context(running(command, log)), port)
    for process, port in started.values():
        _wait(process, f"127.0.0.1:{port}")
    return started


@contextlib.contextmanager
def _connected(port: int) -> Iterator[list[socket.socket]]:
    """Connections of one turn: on a busy machine a server would close them between two turns."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), _TIMEOUT_S))
            for _ in range(_CONNECTIONS)
        ]


def _wait(process: psutil.Process, address: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not answers(address):
        if not process.is_running() or time.monotonic() > deadline:
            raise UnmeasuredError("a server did not come up")
        time.sleep(_POLL_S)


def _ask(clients: list[socket.socket], request: bytes, requests: int) -> None:
    """Send on all connections, then read all answers, until enough were sent."""
    for _ in range(requests // len(clients)):
        for client in clients:
            client.sendall(request)
        for client in clients:
            _read(client)


def _read(client: socket.socket) -> None:
    data = client.recv(1 << 16)
    head, _, body = data.partition(b"\r\n\r\n")
    if not data.startswith(b"HTTP/1.1 200"):
        raise UnmeasuredError(f"a wrong answer: {data[:80]!r}")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += client.recv(1 << 16)
