"""Requests of the stack's own to itself, over plain HTTP and past any proxy of the environment."""

from __future__ import annotations

import http.client
from typing import NamedTuple

_TIMEOUT_S = 2.0


class Answer(NamedTuple):
    """What the service answered."""

    status: int
    body: bytes


def get(address: str, path: str) -> Answer | None:
    """GET a path at HOST:PORT; None when there is no answer in time."""
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        response = connection.getresponse()
        return Answer(response.status, response.read())
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
