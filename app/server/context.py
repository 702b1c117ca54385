"""Who is at the other end of a connection, as Tornado's `HTTPServerRequest` asks for it."""

from __future__ import annotations

import socket
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tornado.netutil import is_valid_ip

if TYPE_CHECKING:
    from tornado.httputil import HTTPHeaders

_LONGEST_ADDRESS = 64


class Context:
    """A client's address and protocol.

    Attributes:
        address: the peer's address as the socket gives it.
        address_family: of the socket.
        remote_ip: text; "0.0.0.0" for a unix socket, as in stock Tornado.
        protocol: "http" or "https".
    """

    __slots__ = ("address", "address_family", "protocol", "remote_ip")

    def __init__(self, address: Any, family: int | None, protocol: str) -> None:  # noqa: ANN401
        self.address = address
        self.address_family = family
        is_ip = family in {socket.AF_INET, socket.AF_INET6} and address
        self.remote_ip = address[0] if is_ip else "0.0.0.0"  # noqa: S104 - an absent address
        self.protocol = protocol

    def __str__(self) -> str:
        if self.address_family in {socket.AF_INET, socket.AF_INET6}:
            return str(self.remote_ip)
        return self.address.decode() if isinstance(self.address, bytes) else str(self.address)

    def behind_proxy(self, headers: HTTPHeaders, trusted: frozenset[str]) -> Context:
        """The client that a proxy speaks for, by `X-Real-IP`, `X-Forwarded-For` and the like.

        Args:
            headers: of the request.
            trusted: addresses of proxies, passed over in `X-Forwarded-For`.
        """
        client = Context.__new__(Context)
        client.address, client.address_family = self.address, self.address_family
        named = headers.get("X-Real-Ip") or self._forwarded_for(headers, trusted)
        client.remote_ip = named if named and _is_address(named) else self.remote_ip
        scheme = headers.get("X-Scheme") or headers.get("X-Forwarded-Proto") or ""
        scheme = scheme.rpartition(",")[2].strip()
        client.protocol = scheme if scheme in {"http", "https"} else self.protocol
        return client

    @staticmethod
    def _forwarded_for(headers: HTTPHeaders, trusted: frozenset[str]) -> str:
        address = ""
        for candidate in reversed(headers.get("X-Forwarded-For", "").split(",")):
            address = candidate.strip()
            if address not in trusted:
                break
        return address


def _is_address(text: str) -> bool:
    return len(text) <= _LONGEST_ADDRESS and _is_valid_ip(text)


# The check asks the resolver; a proxy names the same clients again and again.
_is_valid_ip = lru_cache(maxsize=4096)(is_valid_ip)
