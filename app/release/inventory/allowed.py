"""What may stand where in `deploy.toml`: a check for each entry.

A check takes a value and returns what is allowed in its place, or nothing when it is right.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from app.release.inventory.entries import EVENTS

if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[object], str]

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_KEY = re.compile(r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]{40,}={0,3}")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*")
_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_MAIL = re.compile(r"[^@\s]+@[^@\s]+")


def _matching(expression: re.Pattern[str], allowed: str) -> Check:
    def check(value: object) -> str:
        return "" if isinstance(value, str) and expression.fullmatch(value) else allowed

    return check


def _number(low: float, high: float, *, whole: bool = True) -> Check:
    kind = "a whole number" if whole else "a number"

    def check(value: object) -> str:
        right = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        fits = right and low <= value <= high  # type: ignore[operator]
        return "" if fits else f"{kind} from {low:g} to {high:g}"

    return check


def _one_of(*words: str) -> Check:
    return lambda value: "" if value in words else f"one of {', '.join(words)}"


def _list_of(one: Check, what: str) -> Check:
    def check(value: object) -> str:
        if not isinstance(value, list) or not value:
            return f"a list of {what}"
        allowed = [text for text in map(one, value) if text]
        return f"a list of {what}, each {allowed[0]}" if allowed else ""

    return check


def _address(value: object) -> str:
    if isinstance(value, str) and _HOST_NAME.fullmatch(value):
        return ""
    try:
        ipaddress.ip_address(str(value))
    except ValueError:
        return "a host name or an IP address"
    return ""


def _approvers(value: object) -> str:
    if not isinstance(value, dict) or not value:
        return 'a table of NAME = "PUBLIC KEY"'
    for name, key in value.items():
        if not re.fullmatch(r"[A-Za-z0-9._@-]{1,64}", name) or _public_key(key):
            return f'a table of NAME = "PUBLIC KEY"; {name} is {_public_key(key) or "no name"}'
    return ""


name = _matching(_NAME, "a small letter, then up to 30 small letters, digits and hyphens")
_public_key = _matching(_KEY, "a public key as in a .pub file, without its comment")
_user = _matching(_USER, "a user name")
_text = _matching(re.compile(r".*", re.DOTALL), "text")
_file = _matching(re.compile(r"[^\0\n]+"), "the path of a file")
_variable = _matching(_VARIABLE, "the name of an environment variable, in capitals")
_mail = _matching(_MAIL, "a mail address")
_seconds = _number(10, 3600)

HOST: dict[str, Check] = {
    "name": name, "address": _address, "host_key": _public_key, "user": _user,
    "port": _number(1, 65535), "admin": _user,
}  # fmt: skip
SMOKE: dict[str, Check] = {
    "path": _matching(_PATH, "a path such as /health"), "status": _number(100, 599),
    "contains": _text,
}  # fmt: skip
BAKE: dict[str, Check] = {
    "seconds": _number(0, 86_400), "baseline_s": _number(10, 86_400),
    "error_rate": _number(0, 1, whole=False), "slow_factor": _number(1, 1000, whole=False),
    "slow_floor_ms": _number(0, 60_000),
}  # fmt: skip
NOTIFY: dict[str, Check] = {
    "kind": _one_of("slack", "webhook", "email"), "url_variable": _variable,
    "to": _list_of(_mail, "mail addresses"), "sender": _mail, "smtp_variable": _variable,
    "on": _list_of(_one_of(*EVENTS), "events"),
}  # fmt: skip
ENVIRONMENT: dict[str, Check] = {
    "requires": name, "batch": _number(1, 1000), "window_s": _number(5, 3600),
    "start_timeout_s": _seconds, "keep": _number(2, 1000), "keep_days": _number(0, 3650),
    "deploy_key": _file, "signing_key": _file, "store_key": _file,
    "builders": _list_of(_public_key, "public keys"),
    "trusted_store_keys": _list_of(
        _matching(re.compile(r"[^:\s]+:[A-Za-z0-9+/]{43}="), "NAME:KEY, as Nix has it"), "keys"
    ),
    "approvers": _approvers,
}  # fmt: skip
