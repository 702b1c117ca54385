"""Requests of the stack's own to itself, past any proxy of the environment."""

from __future__ import annotations

import http.client
import ssl
from typing import NamedTuple

_TIMEOUT_S = 2.0


class Answer(NamedTuple):
    """What the service answered."""

    status: int
    body: bytes


def get(address: str, path: str, *, tls: bool = False) -> Answer | None:
    """GET a path at HOST:PORT; None when there is no answer in time."""
    host, _, port = address.rpartition(":")
    connection = _connection(host.strip("[]"), int(port), tls=tls)
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        response = connection.getresponse()
        return Answer(response.status, response.read())
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _connection(host: str, port: int, *, tls: bool) -> http.client.HTTPConnection:
    if not tls:
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    # What is asked is whether the service serves, by an address that no certificate names.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)
