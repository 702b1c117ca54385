"""TCP ports for servers that a test or a benchmark starts."""

from __future__ import annotations

import random
import socket

# Beneath those that the kernel gives to clients (ip(7), ip_local_port_range): one of theirs may be
# free now, and a client's a moment later.
_PORTS = range(10_000, 32_768)
_TRIES = 100
_random = random.SystemRandom()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now.

    Raises:
        OSError: there seems to be none.
    """
    for port in _random.sample(_PORTS, _TRIES):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"of {_TRIES} TCP ports none is free")
