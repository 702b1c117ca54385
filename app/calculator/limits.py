"""The sizes that a calculation may reach, and the refusals that keep it within them.

Guarantees: every refusal is raised before the work that it avoids is done. Sizes are estimated from
bit lengths before a power or a literal is expanded; the other operations at most double the size of
operands that are already within the limits, so their results are checked after. The work of all
operations together is counted against one budget, so a long expression of cheap steps is bounded
as well as a short one of a single costly step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fractions import Fraction

MAX_EXPRESSION_LENGTH = 1_000
"""Characters in an expression. It bounds nesting too: the parser keeps a stack of its own."""

MAX_OPERAND_LENGTH = (MAX_EXPRESSION_LENGTH - len(" + ")) // 2
"""Characters in a number given to `binary`: two of them and an operator make an expression."""

MAX_VALUE_DIGITS = 4_000
"""Digits of a value's numerator and of its denominator, at every step.

Under 4,300, where CPython refuses by default to turn an integer into text.
"""

MAX_RESULT_DIGITS = 1_000
"""Significant digits that a caller may ask for."""

MAX_EXACT_INDEX = 1_000
"""The greatest k for which a k-th root is kept exact; others are enclosed between two numbers."""

MAX_IRRATIONAL_EXPONENT = 10**9
"""Numerator and denominator of an exponent whose power is not rational."""

MAX_WORK = 3_000_000_000
"""Budget of one calculation, in products of operand sizes in bits: a few milliseconds in all.

Multiplying two numbers of 1,000 bits counts as a million; what does not depend on sizes (a step's
overhead, the search for a root) is counted in the same unit by the time that it takes.
"""

MAX_PRECISION_BITS = 16_384
"""Where refining an irrational value stops: past the size of any value, so floors can be told."""

CEILING = 10**MAX_VALUE_DIGITS
CEILING_BITS = CEILING.bit_length()


class RefusedError(Exception):
    """An operation has no value or costs too much; `app.calculator.evaluation` adds where."""


class UndecidedError(RefusedError):
    """The present precision does not tell the outcome; a finer one may."""


class ExhaustedError(RefusedError):
    """The budget of work is spent."""


class Effort:
    """The precision of one evaluation and what is left of the calculation's budget of work.

    Attributes:
        bits: the precision to which irrational values are enclosed.
    """

    __slots__ = ("_left", "bits")

    def __init__(self, bits: int, work: int = MAX_WORK) -> None:
        self.bits = bits
        self._left = work

    def spend(self, work: int) -> None:
        """Count work that is about to be done.

        Raises:
            ExhaustedError: the budget does not cover it.
        """
        self._left -= work
        if self._left < 0:
            msg = "the calculation takes too much work: simplify it or ask for fewer digits"
            raise ExhaustedError(msg)

    def refined(self) -> Effort | None:
        """Four times the precision on what is left of the budget; None past the finest."""
        if self.bits >= MAX_PRECISION_BITS:
            return None
        return Effort(min(self.bits * 4, MAX_PRECISION_BITS), self._left)


def size_bits(value: Fraction) -> int:
    """The length of a fraction's numerator and denominator together."""
    return value.numerator.bit_length() + value.denominator.bit_length()


def within_limits(value: Fraction) -> Fraction:
    """The same value, if it is not too long.

    Raises:
        RefusedError: its numerator or denominator has more than `MAX_VALUE_DIGITS` digits.
    """
    if abs(value.numerator) >= CEILING or value.denominator >= CEILING:
        raise too_long()
    return value


def too_long() -> RefusedError:
    """The refusal of a value past `MAX_VALUE_DIGITS`."""
    return RefusedError(f"the result is too long: at most {MAX_VALUE_DIGITS:,} digits are kept")
