"""Requests in the background of a test."""

from __future__ import annotations

import os

import httpx

from app.stack import binaries
from tests.support import ROOT, Background


def waits_for_idle_clients() -> bool:
    """Whether this machine's Nginx leaves idle connections open while it changes.

    Before 1.27.4 its old workers close them at once, just when a client may be sending: the client
    has to send again, which with a POST it may not. Nothing in front of such a client can help it.
    """
    found = binaries.provide(binaries.NGINX, ROOT, os.environ["PATH"], print)
    return found.version >= (1, 27, 4)


class Traffic(Background):
    """Requests one after the other, until told to stop; remembers what failed.

    Half of the senders POST, which Nginx may not send twice, and half keep their connection.

    Args:
        url: of the stack.
        keeps: whether any sender keeps its connection.
        senders: how many.
    """

    def __init__(self, url: str, *, keeps: bool = True, senders: int = 4) -> None:
        self.url = url
        self._keeps = keeps
        self.answers = 0
        self.failures: list[str] = []
        super().__init__(senders)

    def run(self, number: int) -> None:
        """Send, again and again."""
        kept_alive, posts = number % 2 if self._keeps else 0, number // 2 % 2
        limits = httpx.Limits(max_keepalive_connections=kept_alive)
        with httpx.Client(limits=limits, timeout=20) as client:
            while not self.stopping.is_set():
                try:
                    answer = (
                        client.post(self.url + "/calculator", json={"expression": "6*7"})
                        if posts
                        else client.get(self.url + "/health")
                    )
                    if answer.status_code == 200:
                        self.answers += 1
                    else:
                        self.failures.append(f"{answer.request.method} {answer.status_code}")
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
