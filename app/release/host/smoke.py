"""Smoke tests: requests that a release must answer through Nginx, on the host itself."""

from __future__ import annotations

import http.client
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.release.messages import SmokeTest

_TIMEOUT_S = 5.0
_LONGEST_BODY = 1 << 20


def first_fault(address: str, smoke: Sequence[SmokeTest]) -> str:
    """What the first of the tests that fails says; empty when all pass."""
    for test in smoke:
        try:
            status, body = _get(address, test.path)
        except (OSError, http.client.HTTPException) as error:
            return f"GET {test.path} had no answer ({error})"
        if status != test.status:
            return f"GET {test.path} was answered {status}, not {test.status}"
        if test.contains and test.contains not in body:
            return f"the answer to GET {test.path} has no {test.contains!r}"
    return ""


def _connection(address: str) -> http.client.HTTPConnection:
    parts = urlsplit(address)
    host, port = parts.hostname or "localhost", parts.port
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    # Asked by an address that no certificate names: whether it serves is what is asked.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)


def _get(address: str, path: str) -> tuple[int, str]:
    connection = _connection(address)
    try:
        connection.request("GET", path, headers={"User-Agent": "windlass-probe"})
        response = connection.getresponse()
        return response.status, response.read(_LONGEST_BODY).decode(errors="replace")
    finally:
        connection.close()
