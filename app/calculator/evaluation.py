"""Runs a program of `app.calculator.syntax` on a list of values.

Guarantees: an operation that has no value is reported at its operator or its function's name. Where
the precision does not settle an outcome, the whole program runs again at a finer precision, on
what is left of the budget of work, until it is settled or the finest precision has failed.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar

from app.calculator import arithmetic
from app.calculator.limits import (
    MAX_VALUE_DIGITS,
    Effort,
    ExhaustedError,
    RefusedError,
    UndecidedError,
    too_long,
    within_limits,
)
from app.calculator.syntax import Literal, Step
from app.errors import CalculationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.calculator.arithmetic import Value

T = TypeVar("T")

_GUARD_BITS = 64
_PARTS = re.compile(r"([0-9]*)\.?([0-9]*)(?:[eE](.+))?")


def evaluate(
    program: Sequence[Step], expression: str, digits: int, finish: Callable[[Value, Effort], T]
) -> T:
    """Run a program, then `finish` on its value, at a precision that settles both.

    Args:
        program: the steps, which leave exactly one value.
        expression: the text they come from, for the errors.
        digits: how many significant digits the caller means to show.
        finish: what to make of the value.

    Raises:
        CalculationError: a step has no value, costs too much or cannot be settled.
    """
    effort = Effort(digits * 10 // 3 + _GUARD_BITS)
    runner = _Runner(expression)
    undecided: CalculationError | None = None
    while True:
        try:
            return runner.run(program, effort, finish)
        except RefusedError as refused:
            if undecided is not None and isinstance(refused, ExhaustedError):
                reason = f"{undecided.reason} within the work allowed"
                raise CalculationError(reason, expression, undecided.position) from refused
            error = CalculationError(str(refused), expression, runner.position)
            finer = effort.refined() if isinstance(refused, UndecidedError) else None
            if finer is None:
                raise error from refused
            undecided, effort = error, finer


def read_number(text: str, effort: Effort) -> Fraction:
    """The exact value of an unsigned number as the tokeniser finds it.

    Raises:
        RefusedError: it has too many digits once written out.
    """
    match = _PARTS.fullmatch(text)
    if match is None:
        raise AssertionError(text)
    whole, decimals, exponent = match.groups()
    significant = (whole + decimals).rstrip("0")
    dropped = len(whole) + len(decimals) - len(significant)
    scale = int(exponent or "0") - len(decimals) + dropped
    mantissa = int(significant or "0")
    if mantissa == 0:
        return Fraction(0)
    # A mantissa of n digits shortens the denominator by less than n digits.
    if scale > MAX_VALUE_DIGITS or -scale > MAX_VALUE_DIGITS + len(significant):
        raise too_long()
    effort.spend(8 * scale * scale)
    return within_limits(mantissa * Fraction(10) ** scale)


class _Runner:
    """One expression's run.

    Attributes:
        position: where the step under way comes from.
    """

    def __init__(self, expression: str) -> None:
        self.position = len(expression)
        self._literals: dict[int, Fraction] = {}

    def run(
        self, program: Sequence[Step], effort: Effort, finish: Callable[[Value, Effort], T]
    ) -> T:
        values: list[Value] = []
        for step in program:
            self.position = step.position
            if isinstance(step, Literal):
                values.append(self._literal(step, effort))
                continue
            operands = values[-step.count :]
            del values[-step.count :]
            values.append(arithmetic.apply(step.operation, operands, effort))
        return finish(values.pop(), effort)

    def _literal(self, step: Literal, effort: Effort) -> Fraction:
        known = self._literals.get(step.position)
        if known is None:
            known = self._literals[step.position] = read_number(step.text, effort)
        return known
