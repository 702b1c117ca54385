"""Values -> decimal text.

Guarantees: the digits shown are those of the true value, rounded half to even; an irrational value
is shown only once both ends of its interval round to the same digits. Trailing zeros are dropped.
The notation is plain from 1e-7 up to what the digits asked for can write out (1e+28 with 28
digits), and scientific outside that range, so that no digit is shown that is not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from app.calculator.arithmetic import enclose
from app.calculator.limits import CEILING_BITS, Effort, UndecidedError, size_bits
from app.calculator.radical import Radical

if TYPE_CHECKING:
    from app.calculator.arithmetic import Value

_LEAST_PLAIN_EXPONENT = -7


@dataclass(frozen=True, slots=True)
class Shown:
    """A value as text.

    Attributes:
        result: its decimal digits.
        exact: a fraction, an integer or a root that is exactly the value; None if there is none.
        rounded: whether `result` is not exactly the value.
    """

    result: str
    exact: str | None
    rounded: bool


@dataclass(frozen=True, slots=True)
class _Decimal:
    """`mantissa * 10**(exponent + 1 - digits)`: the mantissa has `digits` digits, or is zero."""

    mantissa: int
    exponent: int


def show(value: Value, digits: int, effort: Effort) -> Shown:
    """Write a value with at most `digits` significant digits.

    Raises:
        UndecidedError: the precision at hand does not tell the digits.
    """
    if isinstance(value, Fraction):
        effort.spend(CEILING_BITS * size_bits(value))
        nearest = _nearest(value, digits)
        rounded = _value(nearest, digits) != value
        return Shown(_text(nearest, digits), str(value), rounded)
    interval = enclose(value, effort)
    interval.sign()
    low, high = (_nearest(end, digits) for end in interval.ends)
    if low != high:
        msg = "the last digit cannot be told: ask for fewer or more digits"
        raise UndecidedError(msg)
    exact = str(value) if isinstance(value, Radical) else None
    return Shown(_text(low, digits), exact, rounded=True)


def _nearest(value: Fraction, digits: int) -> _Decimal:
    """The decimal of `digits` digits that is nearest to a fraction, half to even."""
    if value == 0:
        return _Decimal(0, 0)
    exponent = _exponent(abs(value))
    mantissa = round(value * Fraction(10) ** (digits - 1 - exponent))
    if abs(mantissa) == 10**digits:
        return _Decimal(mantissa // 10, exponent + 1)
    return _Decimal(mantissa, exponent)


def _exponent(value: Fraction) -> int:
    """The greatest e for which 10**e is not above a positive fraction."""
    bits = value.numerator.bit_length() - value.denominator.bit_length()
    # 0.30103 is log10(2): the estimate is at most one or two away, whatever the size allowed.
    estimate = bits * 30_103 // 100_000 - 1
    while value >= Fraction(10) ** (estimate + 1):
        estimate += 1
    while value < Fraction(10) ** estimate:
        estimate -= 1
    return estimate


def _value(decimal: _Decimal, digits: int) -> Fraction:
    return decimal.mantissa * Fraction(10) ** (decimal.exponent + 1 - digits)


def _text(decimal: _Decimal, digits: int) -> str:
    sign = "-" if decimal.mantissa < 0 else ""
    figures = str(abs(decimal.mantissa)).rstrip("0") or "0"
    exponent = decimal.exponent
    if not _LEAST_PLAIN_EXPONENT <= exponent < digits:
        fraction = f".{figures[1:]}" if len(figures) > 1 else ""
        return f"{sign}{figures[0]}{fraction}e{exponent:+d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{figures}"
    whole, fraction = figures[: exponent + 1].ljust(exponent + 1, "0"), figures[exponent + 1 :]
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"
