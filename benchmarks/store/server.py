"""A Redis of one's own, for as long as a measurement or a test takes."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.config import Secret
from app.stack import binaries

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
_START_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """A Redis that runs.

    Attributes:
        path: of its unix socket; it has no port.
    """

    process: subprocess.Popen[bytes]
    path: str

    @property
    def address(self) -> Secret:
        """Its URL."""
        return Secret(f"unix://{self.path}")


@contextlib.contextmanager
def running(*options: str) -> Iterator[Server]:
    """Run a Redis that keeps nothing on disk.

    Raises:
        TimeoutError: it does not answer in time.
    """
    binary = binaries.provide(binaries.REDIS, ROOT, os.environ["PATH"], print).path
    with tempfile.TemporaryDirectory(prefix="windlass-store-") as folder:
        path = f"{folder}/redis.sock"
        command = (str(binary), "--port", "0", "--unixsocket", path, "--save", "",
                   "--appendonly", "no", "--dir", folder, *options)  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _wait_until_it_listens(path)
            yield Server(process, path)
        finally:
            process.kill()
            process.wait()


def _wait_until_it_listens(path: str) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.settimeout(1)
            probe.connect(path)
            return
        time.sleep(0.01)
    raise TimeoutError(f"redis-server does not listen on {path}; start it by hand to see why")
