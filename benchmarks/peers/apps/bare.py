"""The limit: a bare protocol on uvloop that answers constant bytes and does nothing else.

`python -m benchmarks.peers.apps.bare WORKERS ADDRESS`, with HOST:PORT or unix:PATH. Workers share
one socket. Whatever comes in one piece is taken for one request. It has nothing of the product, so
that as a control no change can move it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.peers.launch import die_with_parent

_BACKLOG = 2048
_BODY = b'OK\n {"last_commit_sha":"", "p":0} <p class="counter">Counter: 0</p>'
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (
    len(_BODY),
    _BODY,
)


class _Bare(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = cast("asyncio.Transport", transport).write

    def data_received(self, _data: bytes) -> None:
        self._write(_ANSWER)


async def _serve(listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    if listener.family == socket.AF_UNIX:
        await loop.create_unix_server(_Bare, sock=listener)
    else:
        await loop.create_server(_Bare, sock=listener)
    await stopping.wait()


def _listen(address: str) -> socket.socket:
    if address.startswith("unix:"):
        path = Path(address.removeprefix("unix:"))
        path.unlink(missing_ok=True)  # of one that was killed
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(_BACKLOG)
        return listener
    host, _, port = address.rpartition(":")
    return socket.create_server((host, int(port)), backlog=_BACKLOG)


def main() -> None:
    """Serve until SIGTERM; the first process only waits for its workers where there are several."""
    workers, listener = int(sys.argv[1]), _listen(sys.argv[2])
    children = []
    for _ in range(workers if workers > 1 else 0):
        child = os.fork()
        if not child:
            die_with_parent(signal.SIGTERM)
            break
        children.append(child)
    else:
        if children:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            os.wait()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(listener))


if __name__ == "__main__":
    main()
