"""How a command can fail, and the words for it: what Redis says, and whether it was executed.

Owns every error of the store. Guarantees that no user name, password or reply that may hold one is
in a message, and that each says what is known of the command: certainly not executed, refused, or
of an outcome that nobody here can know.
"""

from __future__ import annotations

import ssl

import hiredis

from app import log
from app.errors import StoreError, StoreUnavailableError

_LONGEST_QUOTE = 160
_PASSING = {"BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "TRYAGAIN"}
_CREDENTIALS = "REDIS_USERNAME and REDIS_PASSWORD, or REDIS_URL"
_OLDER = "version 6 or newer does; an older one is reached with ?protocol=2 in REDIS_URL"
_ADVICE = {
    "OOM": "Redis has no memory left",
    "NOAUTH": f"Redis asks for a password (NOAUTH); set {_CREDENTIALS}",
    "WRONGPASS": f"Redis refuses the user name or the password (WRONGPASS); correct {_CREDENTIALS}",
    "NOPERM": "Redis does not allow its user this (NOPERM); grant INCR and GET on the counter, "
    "PING, and SELECT where REDIS_DB is not 0",
    "NOPROTO": f"Redis speaks no RESP3 (NOPROTO); {_OLDER}",
}
_ADVICE_BY_TEXT = {
    "unknown command `HELLO`": f"Redis knows no HELLO; {_OLDER}",
    "DB index": "Redis has no database of this number; correct REDIS_DB or REDIS_URL",
}


class NotExecutedError(StoreUnavailableError):
    """The command never left this process: Redis has certainly not executed it."""


class UnknownOutcomeError(StoreUnavailableError):
    """The command was sent and its reply never came: it may or may not have taken effect."""


def unknown(reason: str) -> UnknownOutcomeError:
    """The error of a command that was sent, for `reason`."""
    return UnknownOutcomeError(f"{reason}; the command may or may not have taken effect")


def not_executed(reason: str) -> NotExecutedError:
    """The error of a command that was never sent, for `reason`."""
    return NotExecutedError(f"{reason}; the command was not executed")


def refusal(reply: hiredis.ReplyError) -> StoreError:
    """The error that an error reply is: `StoreUnavailableError` where trying later may help."""
    text = _explain(reply)
    code = str(reply).partition(" ")[0]
    if code == "OOM" or code in _PASSING:
        return StoreUnavailableError(text)
    return StoreError(text)


def connecting_failed(error: Exception) -> str:
    """Why no connection could be made, and where it is wrong settings, what to set."""
    if isinstance(error, hiredis.ReplyError):
        return _explain(error)
    if isinstance(error, TimeoutError):
        return "Redis did not take the connection in time"
    if isinstance(error, ssl.SSLError):
        return f"Redis cannot be reached by TLS: {_quote(getattr(error, 'reason', None) or error)}"
    if isinstance(error, OSError):
        return f"Redis cannot be reached: {_quote(error.strerror or error)}"
    return f"Redis cannot be reached: {_quote(error)}"


def _explain(reply: hiredis.ReplyError) -> str:
    text = str(reply)
    known = _ADVICE.get(text.partition(" ")[0]) or next(
        (advice for part, advice in _ADVICE_BY_TEXT.items() if part in text), None
    )
    return known or f"Redis refuses the command: {_quote(reply)}"


def _quote(what: object) -> str:
    text = log.mask(str(what))
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"
