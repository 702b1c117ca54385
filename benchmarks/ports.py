"""TCP ports for servers that a test or a benchmark starts."""

from __future__ import annotations

import random
import socket

# Beneath those that the kernel gives to clients (ip(7), ip_local_port_range): one of theirs may be
# free now, and a client's a moment later.
_PORTS = range(10_000, 32_768)
_TRIES = 100
_random = random.SystemRandom()
_given: set[int] = set()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now, and that is given to nobody else here.

    Raises:
        OSError: there seems to be none.
    """
    for port in _random.sample(_PORTS, _TRIES):
        if port in _given:  # to a server that is still starting
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given.add(port)
            return port
    raise OSError(f"of {_TRIES} TCP ports none is free")
