"""Does a server answer, and rightly? One request at a time, where speed does not matter."""

from __future__ import annotations

import http.client
import socket

_TIMEOUT_S = 2.0


def ask(address: str, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send the bytes of a request; return status, headers in small letters, and body.

    Raises:
        OSError: there is no answer in time.
        http.client.HTTPException: it is none of HTTP.
    """
    with _connected(address) as connection:
        connection.sendall(request)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        headers = {name.lower(): text for name, text in answer.getheaders()}
        return answer.status, headers, answer.read()


def answers(address: str) -> bool:
    """Whether `/health` is answered with 200."""
    try:
        return ask(address, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def _connected(address: str) -> socket.socket:
    if not address.startswith("unix:"):
        host, _, port = address.rpartition(":")
        return socket.create_connection((host, int(port)), _TIMEOUT_S)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_TIMEOUT_S)
    try:
        connection.connect(address.removeprefix("unix:"))
    except OSError:
        connection.close()
        raise
    return connection
