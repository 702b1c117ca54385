"""Listening sockets: opened once by the master, inherited by workers and across `exec`."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BACKLOG = 2048


def listen_unix(path: Path) -> socket.socket:
    """Listen on a unix socket that only this user can reach, once `publish_unix` has named it.

    A socket file left by a dead master is replaced by that; the new one appears under its name only
    when it accepts, so that a client never meets a socket that refuses.
    """
    for old in path.parent.glob(f".{path.name}.*"):
        old.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.settimeout(0)
    old_mask = os.umask(0o177)
    try:
        listener.bind(str(_unpublished(path)))
    finally:
        os.umask(old_mask)
    listener.listen(BACKLOG)
    return listener


def publish_unix(path: Path) -> None:
    """Give a socket of this process its name, unless it has it."""
    with contextlib.suppress(FileNotFoundError):
        _unpublished(path).rename(path)


def remove_unix(path: Path) -> None:
    """Take the name of a socket of this process away, published or not."""
    for name in (_unpublished(path), path):
        name.unlink(missing_ok=True)


def _unpublished(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def listen_tcp(host: str, port: int) -> list[socket.socket]:
    """Listen on every address that a host name has on this machine.

    Raises:
        OSError: the port is taken on one of them, or none of them is this machine's.
    """
    listeners: list[socket.socket] = []
    last_error: OSError | None = None
    for family, address in addresses(host, port):
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRNOTAVAIL:
                for opened in listeners:
                    opened.close()
                raise
            # A name such as localhost may have an IPv6 address on a machine without IPv6.
            last_error = error
        else:
            listener.settimeout(0)
            listeners.append(listener)
    if not listeners:
        raise last_error or OSError(errno.EADDRNOTAVAIL, f"{host} has no address here")
    return listeners


def addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
    """The addresses of a host name, IPv4 first, each once."""
    found = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
    )
    unique = {(family, (str(at[0]), port)) for family, _, _, _, at in found}
    return sorted(unique, key=lambda item: (item[0] == socket.AF_INET6, item[1]))
