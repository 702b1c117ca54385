"""Clients that take their time on purpose: what they send, and when each was cut off."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

UNREAD = "an unread answer"
KINDS = ("a head byte by byte", "a begun head", "an unfinished body", "unfinished chunks", UNREAD)
MOST_BYTES_EACH = 256 << 10
"""Of memory that a server may spend on one."""
_LOOK_EVERY_S = 0.5
_SMALL_BUFFER_BYTES = 4096


@dataclass
class Slow:
    """One such client.

    Attributes:
        kind: one of `KINDS`.
        drip: what it sends byte by byte.
        cut_after_s: when it was cut off; None while it is not.
    """

    kind: str
    connection: socket.socket
    begun: float
    drip: bytes = b""
    cut_after_s: float | None = None


def open_one(kind: str, port: int, *, posts_to: str, reads: str) -> Slow:
    """Connect one, and have it send what it sends at once.

    Args:
        kind: one of `KINDS`.
        port: of 127.0.0.1.
        posts_to: the path to which it sends.
        reads: the path of an answer longer than what the kernel keeps for one connection.
    """
    connection = socket.socket()
    if kind == UNREAD:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER_BYTES)
    connection.settimeout(10)
    connection.connect(("127.0.0.1", port))
    slow = Slow(kind, connection, time.monotonic())
    head = f"POST {posts_to} HTTP/1.1\r\nHost: a\r\n".encode()
    if kind == "a head byte by byte":
        slow.drip = head + b"X: " + b"x" * 2000
    elif kind == "a begun head":
        connection.sendall(head)
    elif kind == "an unfinished body":
        connection.sendall(head + b"Content-Length: 50000\r\n\r\n" + b"x" * 100)
    elif kind == "unfinished chunks":
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n100\r\nxx")
    else:
        connection.sendall(f"GET {reads} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    connection.settimeout(0)
    return slow


def until_cut(clients: Sequence[Slow], patience_s: float, memory: Callable[[], int]) -> int:
    """Note when each is cut off.

    Args:
        clients: those that are open.
        patience_s: how long to wait for the last of them.
        memory: what the server holds, bytes.

    Returns:
        The most memory seen meanwhile.
    """
    poll = select.poll()
    waiting = {client.connection.fileno(): client for client in clients}
    for number, client in waiting.items():
        # An answer that nobody reads must stay unread: errors and hang-ups come unasked.
        poll.register(number, 0 if client.kind == UNREAD else select.POLLIN)
    deadline, peak, next_look = time.monotonic() + patience_s, 0, 0.0
    while waiting and time.monotonic() < deadline:
        for number, event in poll.poll(100):
            client = waiting[number]
            if _is_cut(client, event):
                client.cut_after_s = time.monotonic() - client.begun
                poll.unregister(number)
                del waiting[number]
        for client in waiting.values():
            _drip(client)
        if time.monotonic() >= next_look:
            next_look = time.monotonic() + _LOOK_EVERY_S
            peak = max(peak, memory())
    return peak


def _drip(client: Slow) -> None:
    if client.drip:
        with contextlib.suppress(OSError):
            client.connection.send(client.drip[:1])
            client.drip = client.drip[1:]


def _is_cut(client: Slow, event: int) -> bool:
    if event & (select.POLLERR | select.POLLHUP | select.POLLNVAL):
        return True
    try:
        return not client.connection.recv(65536)
    except BlockingIOError:
        return False
    except OSError:
        return True
