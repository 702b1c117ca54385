"""The calculator's two entries: an expression, or one operation on two numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from app.calculator.evaluation import evaluate
from app.calculator.limits import MAX_OPERAND_LENGTH, MAX_RESULT_DIGITS
from app.calculator.rendering import Shown, show
from app.calculator.syntax import parse
from app.calculator.tokens import MINUS, NUMBER
from app.errors import CalculationError

if TYPE_CHECKING:
    from app.calculator.arithmetic import Value
    from app.calculator.limits import Effort

DEFAULT_DIGITS = 28

Operation = Literal["add", "subtract", "multiply", "divide"]

_OPERATORS: dict[Operation, str] = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}
_SIGNED_NUMBER = re.compile(rf"\s*[+\-{MINUS}]?{NUMBER}\s*")
_START_OF_NUMBER = re.compile(rf"\s*[+\-{MINUS}]?(?:{NUMBER})?\s*")


@dataclass(frozen=True, slots=True)
class Result:
    """What an expression is worth.

    Attributes:
        expression: the text as it was given.
        result: the value in decimal digits, at most as many as were asked for.
        exact: the value exactly, in the calculator's own notation: an integer (`3`), a fraction in
            lowest terms (`3/10`) or one root (`sqrt(2)`, `-(2/3)**(1/3)`). None where the value is
            not known to have one of these forms, as for `sqrt(2) + 1`.
        rounded: whether `result` differs from the value, or may.
    """

    expression: str
    result: str
    exact: str | None
    rounded: bool


def calculate(expression: str, digits: int = DEFAULT_DIGITS) -> Result:
    """Calculate an expression exactly.

    Args:
        expression: numbers, `+ - * / // % **`, parentheses, `abs`, `max`, `min`, `round`, `sqrt`,
            with Python's precedence; `round` takes halves to the even neighbour, as Python's does.
        digits: significant digits of the result, from 1 to `MAX_RESULT_DIGITS`.

    Raises:
        CalculationError: the text is not an expression, has no real value, or costs more than the
            limits allow. No other error comes from a text, whatever it holds.
        ValueError: `digits` is out of range, which is the caller's mistake.
    """
    if not 1 <= digits <= MAX_RESULT_DIGITS:
        msg = f"digits must be from 1 to {MAX_RESULT_DIGITS:,}, not {digits}"
        raise ValueError(msg)

    def finish(value: Value, effort: Effort) -> Shown:
        return show(value, digits, effort)

    shown = evaluate(parse(expression), expression, digits, finish)
    return Result(expression, shown.result, shown.exact, shown.rounded)


def binary(operation: Operation, a: str, b: str, digits: int = DEFAULT_DIGITS) -> Result:
    """Calculate one operation on two plain numbers: signs, decimals, scientific notation.

    Returns:
        The result; its `expression` is the operation written out, for example `0.1 + 0.2`.

    Raises:
        CalculationError: a number cannot be read (the reason starts with `a:` or `b:`, and the
            error's expression is that number), or the operation has no value.
        ValueError: the operation is unknown or `digits` is out of range.
    """
    if operation not in _OPERATORS:
        msg = f"operation must be one of {', '.join(_OPERATORS)}, not {operation!r}"
        raise ValueError(msg)
    left, right = _plain_number("a", a), _plain_number("b", b)
    return calculate(f"{left} {_OPERATORS[operation]} {right}", digits)


def _plain_number(name: str, text: str) -> str:
    """The text of a number without the space around it."""
    if len(text) > MAX_OPERAND_LENGTH:
        reason = f"{name}: the number is longer than {MAX_OPERAND_LENGTH} characters"
        raise CalculationError(reason, text, MAX_OPERAND_LENGTH)
    if _SIGNED_NUMBER.fullmatch(text):
        return text.strip()
    start = _START_OF_NUMBER.match(text)
    position = start.end() if start else 0
    reason = f"{name}: expected one number, such as 12, -0.5 or 1e-3"
    raise CalculationError(reason, text, position)
