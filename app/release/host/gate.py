"""The forced command of the deploy key: what may be asked of a host over ssh, and nothing else.

sshd runs this whatever the client asked for, which stands in SSH_ORIGINAL_COMMAND. Two things are
let through: the Nix store's own protocol for receiving paths, whose daemon takes only signed ones
from this user, and the agent's orders, whose content comes as JSON on standard input. There is no
shell in between, so nothing is quoted, expanded or joined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import RefusedError
from app.release.argv import SERVE_STORE

if TYPE_CHECKING:
    from collections.abc import Collection

ORDER = ("windlass", "host")
LOGS = "logs"
HOLD = "hold"
_PROGRAMS = {"web", "nginx", "redis", "supervisord"}


def admitted(asked: str, orders: Collection[str]) -> tuple[str, ...]:
    """What is to be run for what a client asked: the store's server, or an order's words.

    Raises:
        RefusedError: neither.
    """
    words = tuple(asked.split())
    if words == SERVE_STORE:
        return words
    if words[:2] == ORDER and len(words) == 3 and (words[2] in orders or words[2] == HOLD):
        return words[2:]
    if words[:3] == (*ORDER, LOGS) and _are_of_logs(words[3:]):
        return words[2:]
    what = "a shell" if not words else repr(asked[:100])
    raise RefusedError(
        "unknown",
        f"this key cannot open {what}: it receives signed store paths and takes windlass' orders",
    )


def _are_of_logs(words: tuple[str, ...]) -> bool:
    return all(
        word in _PROGRAMS or word == "--follow" or (word.startswith("--lines=")
        and word.removeprefix("--lines=").isdecimal() and len(word) < 16)
        for word in words
    )  # fmt: skip
