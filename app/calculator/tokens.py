"""Text -> tokens: which characters form a number, a name or an operator.

Guarantees: tokens come in reading order and one at a time, so that the first fault in the text is
the one reported; a token's position is that of its first character in the text as given; only the
ASCII digits are digits. The typographic signs for times, division and minus, which people paste,
stand for `*`, `/` and `-`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from app.calculator.limits import MAX_EXPRESSION_LENGTH
from app.errors import CalculationError

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTIONS = ("abs", "max", "min", "round", "sqrt")

# Written as escapes: some of these look alike on a screen.
TIMES, DIVISION, MINUS = "\u00d7", "\u00f7", "\u2212"

NUMBER = rf"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+\-{MINUS}]?[0-9]+)?"

_TOKEN = re.compile(
    rf"(?P<number>{NUMBER})"
    r"|(?P<name>[A-Za-z_][A-Za-z_0-9]*)"
    rf"|(?P<operator>\*\*|//|[-+*/%{TIMES}{DIVISION}{MINUS}])"
    r"|(?P<open>\()|(?P<close>\))|(?P<comma>,)"
)
_SAME_OPERATOR = {TIMES: "*", DIVISION: "/", MINUS: "-"}
_UNFINISHED_EXPONENT = re.compile(rf"[eE](?:[+\-{MINUS}]|(?![A-Za-z_0-9]))")
_SHOWN_NAME_LENGTH = 20


class Kind(Enum):
    """What a token is."""

    NUMBER = "number"
    NAME = "name"
    OPERATOR = "operator"
    OPEN = "open"
    CLOSE = "close"
    COMMA = "comma"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One token of an expression.

    Attributes:
        kind: what it is.
        text: its characters, the operators in their ASCII form.
        position: 0-based index of its first character.
    """

    kind: Kind
    text: str
    position: int


def tokenise(expression: str) -> Iterator[Token]:
    """Split an expression; the last token is of kind END.

    Raises:
        CalculationError: the text is empty or too long, or holds a character, a name or a number
            that means nothing here.
    """
    if len(expression) > MAX_EXPRESSION_LENGTH:
        reason = f"the expression is longer than {MAX_EXPRESSION_LENGTH:,} characters"
        raise CalculationError(reason, expression, MAX_EXPRESSION_LENGTH)
    position = _after_space(expression, 0)
    if position == len(expression):
        raise CalculationError("the expression is empty", expression, position)
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if match is None:
            raise CalculationError(_unknown(expression, position), expression, position)
        token = Token(Kind(match.lastgroup), _ascii(match.group()), position)
        _check(token, expression, match.end())
        yield token
        position = _after_space(expression, match.end())
    yield Token(Kind.END, "", position)


def _after_space(expression: str, position: int) -> int:
    while position < len(expression) and expression[position].isspace():
        position += 1
    return position


def _ascii(text: str) -> str:
    return _SAME_OPERATOR.get(text) or text.replace(MINUS, "-")


def _check(token: Token, expression: str, end: int) -> None:
    """Refuse what has the form of a token and yet no meaning."""
    if token.kind is Kind.NAME and token.text not in FUNCTIONS:
        name = token.text[:_SHOWN_NAME_LENGTH]
        reason = f"unknown name '{name}': the functions are {', '.join(FUNCTIONS)}"
        raise CalculationError(reason, expression, token.position)
    unfinished = _UNFINISHED_EXPONENT.match(expression, end)
    if token.kind is Kind.NUMBER and unfinished:
        reason = "a digit is missing after the e of this number"
        raise CalculationError(reason, expression, unfinished.end())


def _unknown(expression: str, position: int) -> str:
    character = expression[position]
    if character == ".":
        return "a digit is missing next to the decimal point"
    if character == "^":
        return "unknown character '^': write ** for a power"
    if character.isnumeric():
        return f"unknown character {shown(character)}: write numbers with the digits 0 to 9"
    return f"unknown character {shown(character)}"


def shown(character: str) -> str:
    """A character as a message may hold it: by its code point where it cannot be printed."""
    return f"'{character}'" if character.isprintable() else f"U+{ord(character):04X}"
