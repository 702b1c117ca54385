"""The forced command of a key: what its holder may ask of a host over ssh, and nothing else.

sshd runs this whatever the client asked for, which stands in SSH_ORIGINAL_COMMAND. What is let
through depends on the key's role: `MAY_ASK` lists all of it. The Nix store's own protocol for
receiving paths, whose daemon takes only signed ones from this user, is the deployer's; so are all
of the agent's orders, whose content comes as JSON on standard input. An approver looks, and hands
an approval in. There is no shell in between, so nothing is quoted, expanded or joined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import RefusedError
from app.release.argv import SERVE_STORE

if TYPE_CHECKING:
    from collections.abc import Mapping

ORDER = ("windlass", "host")
LOGS = "logs"
HOLD = "hold"
STORE = " ".join(SERVE_STORE)
DEPLOYER, APPROVER = "deployer", "approver"
ROLES = (DEPLOYER, APPROVER)
_DEPLOYER, _BOTH = frozenset({DEPLOYER}), frozenset(ROLES)
MAY_ASK: Mapping[str, frozenset[str]] = {
    # looks
    "status": _BOTH, "audit": _BOTH, LOGS: _BOTH,
    "inspect": _DEPLOYER, "probe": _DEPLOYER, "traffic": _DEPLOYER, "render": _DEPLOYER,
    # approves: only what an approver signed is kept
    "approve": _BOTH,
    # changes something, or runs something
    STORE: _DEPLOYER, "begin": _DEPLOYER, "extend": _DEPLOYER, HOLD: _DEPLOYER, "end": _DEPLOYER,
    "check": _DEPLOYER, "switch": _DEPLOYER, "confirm": _DEPLOYER, "back": _DEPLOYER,
    "finish": _DEPLOYER, "collect": _DEPLOYER, "lock": _DEPLOYER, "unlock": _DEPLOYER,
    "maintenance": _DEPLOYER, "execute": _DEPLOYER,
}  # fmt: skip
"""Everything that can be asked, and the roles that may; what is not here, nobody may."""
_PROGRAMS = {"web", "nginx", "redis", "supervisord"}


def admitted(asked: str, role: str) -> tuple[str, ...]:
    """What is to be run for what a client asked: the store's server, or an order's words.

    Args:
        asked: the client's command.
        role: of its key.

    Raises:
        RefusedError: neither, or not for this role.
    """
    words = tuple(asked.split())
    if role in MAY_ASK.get(_named(words), ()):
        return words if words == SERVE_STORE else words[2:]
    what = "a shell" if not words else repr(asked[:100])
    raise RefusedError("unknown", f"this key cannot open {what}: {_what_it_may(role)}")


def _named(words: tuple[str, ...]) -> str:
    """The entry of `MAY_ASK` that words ask for; empty: none."""
    if words == SERVE_STORE:
        return STORE
    if words[:2] != ORDER:
        return ""
    if words[2:3] == (LOGS,):
        return LOGS if _are_of_logs(words[3:]) else ""
    return words[2] if len(words) == 3 else ""


def _what_it_may(role: str) -> str:
    if role == DEPLOYER:
        return f"its role, {role}, sends signed store paths and gives windlass' orders"
    orders = ", ".join(name for name, roles in MAY_ASK.items() if role in roles)
    return (
        f"its role, {role}, gives only these orders: {orders}; for all else there is the deploy "
        "key: deploy_key in deploy.toml, without --key"
    )


def _are_of_logs(words: tuple[str, ...]) -> bool:
    return all(
        word in _PROGRAMS or word == "--follow" or (word.startswith("--lines=")
        and word.removeprefix("--lines=").isdecimal() and len(word) < 16)
        for word in words
    )  # fmt: skip
