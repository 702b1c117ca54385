"""Who may see how the service is doing inside: an operator, on this machine or with the token.

`OperatorHandler` is the base of all that only operators may see. Let in is

- who asks from this machine: the address is a loopback one, no proxy that was not declared in
  TRUSTED_PROXIES passed the request on, and the host that was asked for is this machine by name.
  The last keeps out pages of other sites that a browser here shows (DNS rebinding).
- who has OPERATOR_TOKEN, as `Authorization: Bearer TOKEN`, or as the password of `Basic`, which is
  what a browser asks its user for.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
from typing import TYPE_CHECKING

from app.server import field_of
from app.web.handler import AppHandler
from app.web.problems import NotAllowedError

if TYPE_CHECKING:
    from tornado.httputil import HTTPHeaders

    from app.config import Secret, Settings

PASSED_ON = "X-Undeclared-Proxy"
"""Set by Nginx where a request says that it was passed on by somebody who was not declared."""


class OperatorHandler(AppHandler):
    """Base of handlers that only operators may use; all others get 401 or 403."""

    def prepare(self) -> None:
        """Let an operator in."""
        settings = self.services.settings
        if has_token(self.request.headers, settings.operator_token):
            return
        if self._is_here(settings):
            return
        if settings.operator_token:
            raise NotAllowedError(
                "Give the token of OPERATOR_TOKEN, as Authorization: Bearer or as the password",
                challenges=True,
            )
        raise NotAllowedError(
            "Ask from the machine itself, by the name localhost; or set OPERATOR_TOKEN and give it "
            "as Authorization: Bearer"
        )

    def _is_here(self, settings: Settings) -> bool:
        request = self.request
        if PASSED_ON in request.headers or not _is_loopback(request.remote_ip or ""):
            return False
        # With ALLOWED_HOSTS Nginx has seen to it.
        name = request.host_name
        return bool(settings.allowed_hosts) or name == "localhost" or _is_loopback(name)


def has_token(headers: HTTPHeaders, token: Secret) -> bool:
    """Whether a request carries the token; never where there is none."""
    kind, _, given = field_of(headers, "Authorization").partition(" ")
    if not token or not given:
        return False
    if kind.lower() == "basic":
        try:
            given = base64.b64decode(given.strip(), validate=True).decode().partition(":")[2]
        except ValueError:  # no ASCII, no base64 or no UTF-8
            return False
    elif kind.lower() != "bearer":
        return False
    return hmac.compare_digest(given.strip().encode(), token.encode())


def _is_loopback(text: str) -> bool:
    try:
        return ipaddress.ip_address(text.strip("[]")).is_loopback
    except ValueError:
        return False
