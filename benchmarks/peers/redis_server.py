"""The Redis that every server of a measurement uses: one of its own, which keeps nothing."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from redis import Redis, RedisError

from app.stack import binaries
from benchmarks.machine import ROOT
from benchmarks.peers.processes import Command, running, wait_until
from benchmarks.peers.session import UnmeasuredError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_TIMEOUT_S = 30.0


@contextmanager
def redis(folder: Path, cpu: int, say: Callable[[str], None]) -> Iterator[str]:
    """Run a Redis and give its URL.

    Args:
        folder: for its socket and log.
        cpu: to keep to, which should not be that of a server under measurement.
        say: told of what takes long.

    Raises:
        StackError: there is no redis-server.
    """
    binary = binaries.provide(binaries.REDIS, ROOT, os.environ.get("PATH", os.defpath), say)
    path, log = folder / "redis.sock", folder / "redis.log"
    argv = (str(binary.path), "--port", "0", "--unixsocket", str(path), "--dir", str(folder),
            "--save", "", "--appendonly", "no", "--daemonize", "no")  # fmt: skip
    with running(Command(argv), log, cpu) as process:
        wait_until(lambda: _listens(path), process, log, "Redis")
        yield f"unix://{path}"


def empty(url: str) -> None:
    """Forget all that a Redis keeps, in every database.

    Raises:
        UnmeasuredError: it does not.
    """
    try:
        with Redis.from_url(url, socket_timeout=_TIMEOUT_S) as client:
            client.flushall()
    except RedisError as error:
        raise UnmeasuredError(f"Redis at {url} cannot be emptied: {error}") from error


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        return probe.connect_ex(str(path)) == 0
