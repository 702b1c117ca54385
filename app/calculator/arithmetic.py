"""The operations on values: exact where that is possible, enclosed where it is not.

A value is a `Fraction`; or an irrational root kept exact, `Radical`; or an `Enclosure`, an interval
that holds it. An operation's result is of the first of these kinds that can hold it exactly, so a
`Fraction` or a `Radical` is always the true value and nothing is called exact because it looks so.

Every operation counts its work before doing it, and raises `RefusedError` where it has no value,
`UndecidedError` where the precision at hand does not tell.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from app.calculator import radical
from app.calculator.enclosure import Enclosure, negative_root, root_of
from app.calculator.limits import (
    CEILING_BITS,
    MAX_IRRATIONAL_EXPONENT,
    MAX_VALUE_DIGITS,
    Effort,
    RefusedError,
    UndecidedError,
    size_bits,
    too_long,
    within_limits,
)
from app.calculator.radical import Radical

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Value = Fraction | Radical | Enclosure

_HALF = Fraction(1, 2)
# Counted in the unit of `MAX_WORK`, from measurements.
_WORK_PER_STEP = 2_000_000
_WORK_PER_ENCLOSURE = 2
_WORK_PER_ROOT = 120_000_000


def apply(operation: str, operands: Sequence[Value], effort: Effort) -> Value:
    """The value of an operator (by its sign; `negate` and `keep sign` for signs) or a function.

    Raises:
        RefusedError: there is none, or it costs too much.
    """
    effort.spend(_WORK_PER_STEP * len(operands))
    match operation, operands:
        case "negate", [value]:
            return negate(value)
        case "keep sign", [value]:
            return value
        case "min", _:
            return least(operands, effort)
        case "max", _:
            return negate(least([negate(value) for value in operands], effort))
        case _, [value]:
            return _UNARY[operation](value, effort)
        case _, [left, right]:
            return _BINARY[operation](left, right, effort)
    raise AssertionError(operation)


def negate(value: Value) -> Value:
    """The opposite number."""
    return -value if isinstance(value, Fraction) else value.negated()


def add(left: Value, right: Value, effort: Effort) -> Value:
    """The sum."""
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        effort.spend(size_bits(left) * size_bits(right))
        return within_limits(left + right)
    if left == 0:
        return right
    if right == 0:
        return left
    if isinstance(left, Radical) and isinstance(right, Radical):
        exact = radical.total(left, right, effort)
        if exact is not None:
            return exact
    return enclose(left, effort).plus(enclose(right, effort), effort.bits)


def subtract(left: Value, right: Value, effort: Effort) -> Value:
    """The difference."""
    return add(left, negate(right), effort)


def multiply(left: Value, right: Value, effort: Effort) -> Value:
    """The product."""
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        effort.spend(size_bits(left) * size_bits(right))
        return within_limits(left * right)
    if left == 0 or right == 0:
        return Fraction(0)
    if not isinstance(left, Enclosure) and not isinstance(right, Enclosure):
        exact = radical.product(left, right, effort)
        if exact is not None:
            return exact
    return enclose(left, effort).times(enclose(right, effort), effort.bits)


def divide(left: Value, right: Value, effort: Effort) -> Value:
    """The quotient."""
    _refuse_zero(right)
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        effort.spend(size_bits(left) * size_bits(right))
        return within_limits(left / right)
    if left == 0:
        enclose(right, effort).sign()  # refuses a divisor that may be zero
        return Fraction(0)
    if not isinstance(left, Enclosure) and not isinstance(right, Enclosure):
        exact = radical.quotient(left, right, effort)
        if exact is not None:
            return exact
    return enclose(left, effort).over(enclose(right, effort), effort.bits)


def floor_divide(left: Value, right: Value, effort: Effort) -> Value:
    """The greatest integer that is not above the quotient."""
    _refuse_zero(right)
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        effort.spend(size_bits(left) * size_bits(right))
        return within_limits(Fraction(left // right))
    return _settled(divide(left, right, effort), math.floor, effort)


def modulo(left: Value, right: Value, effort: Effort) -> Value:
    """What `left` is above its floored quotient; of the sign of `right`."""
    _refuse_zero(right)
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        effort.spend(2 * size_bits(left) * size_bits(right))
        return within_limits(left % right)
    return subtract(left, multiply(right, floor_divide(left, right, effort), effort), effort)


def power(base: Value, exponent: Value, effort: Effort) -> Value:
    """`base ** exponent`, the real one; `0 ** 0` is 1, as in Python."""
    if not isinstance(exponent, Fraction):
        msg = "an irrational exponent is not supported"
        raise RefusedError(msg)
    if exponent == 0:
        return Fraction(1)
    if exponent.denominator > 1:
        return _fractional_power(base, exponent, effort)
    if isinstance(base, Fraction):
        return _rational_power(base, exponent.numerator, effort)
    if isinstance(base, Radical):
        even = exponent.numerator % 2 == 0
        exact = radical.power(Radical(1, base.radicand, base.index), exponent, effort)
        if exact is not None:
            return exact if base.sign > 0 or even else negate(exact)
    return _enclosed_power(enclose(base, effort), exponent.numerator, effort)


def square_root(value: Value, effort: Effort) -> Value:
    """The root that is not negative."""
    return power(value, _HALF, effort)


def absolute(value: Value, _effort: Effort) -> Value:
    """The distance from zero."""
    if isinstance(value, Fraction):
        return abs(value)
    if isinstance(value, Radical):
        return Radical(1, value.radicand, value.index)
    return value.magnitude()


def least(values: Sequence[Value], effort: Effort) -> Value:
    """The smallest of one value or more."""
    result, *others = values
    for value in others:
        result = _lesser(result, value, effort)
    return result


def round_half_even(value: Value, places: Value, effort: Effort) -> Value:
    """The nearest number of `places` decimals, the even one of two that are as near."""
    if not isinstance(places, Fraction) or places.denominator > 1:
        msg = "the second argument of round must be a whole number"
        raise RefusedError(msg)
    if abs(places) > MAX_VALUE_DIGITS:
        limit = f"{MAX_VALUE_DIGITS:,}"
        msg = f"the second argument of round must be from -{limit} to {limit}"
        raise RefusedError(msg)
    effort.spend(CEILING_BITS * abs(places.numerator))
    unit = Fraction(10) ** -places.numerator

    def rounded(exact: Fraction) -> Fraction:
        effort.spend(size_bits(exact) * size_bits(unit))
        return round(exact / unit) * unit

    if isinstance(value, Fraction):
        return within_limits(rounded(value))
    return _settled(value, rounded, effort)


def enclose(value: Value, effort: Effort, guard_bits: int = 0) -> Enclosure:
    """An interval around a value, of the precision at hand and some more on request."""
    bits = effort.bits + guard_bits
    if isinstance(value, Enclosure):
        effort.spend(_WORK_PER_ENCLOSURE * bits**2)
        return value
    if isinstance(value, Fraction):
        effort.spend(_WORK_PER_ENCLOSURE * bits * size_bits(value))
        return Enclosure.of(value, bits)
    effort.spend(_work_of_root(value.index, bits + size_bits(value.radicand)))
    root = root_of(value.radicand, value.index, bits)
    return root if value.sign > 0 else root.negated()


def _refuse_zero(divisor: Value) -> None:
    if divisor == 0:
        msg = "division by zero"
        raise RefusedError(msg)


def _lesser(first: Value, second: Value, effort: Effort) -> Value:
    if first == second:
        return first
    if isinstance(first, Fraction) and isinstance(second, Fraction):
        effort.spend(size_bits(first) * size_bits(second))
        return min(first, second)
    one, other = enclose(first, effort), enclose(second, effort)
    try:
        return second if one.plus(other.negated(), effort.bits).sign() > 0 else first
    except UndecidedError:
        # Which of the two it is does not matter to what it is worth.
        return one.hull_of_least(other, effort.bits)


def _settled(value: Value, outcome: Callable[[Fraction], Fraction | int], effort: Effort) -> Value:
    """The outcome of a step function, if both ends of the value's interval agree on it."""
    if isinstance(value, Fraction):
        return within_limits(Fraction(outcome(value)))
    low, high = (outcome(end) for end in enclose(value, effort).ends)
    if low != high:
        msg = "this value cannot be told from the next one when it is rounded"
        raise UndecidedError(msg)
    return within_limits(Fraction(low))


def _rational_power(base: Fraction, exponent: int, effort: Effort) -> Fraction:
    if base == 0 and exponent < 0:
        msg = "division by zero: 0 has no negative power"
        raise RefusedError(msg)
    if base in (0, 1):
        return base
    if base == -1:
        return base if exponent % 2 else -base
    length = max(base.numerator.bit_length(), base.denominator.bit_length())
    # A number of n bits is at least 2**(n - 1).
    if (length - 1) * abs(exponent) > CEILING_BITS:
        raise too_long()
    effort.spend((length * exponent) ** 2)
    return within_limits(base**exponent)


def _fractional_power(base: Value, exponent: Fraction, effort: Effort) -> Value:
    if isinstance(base, Fraction) and base in (0, 1):
        return _rational_power(base, exponent.numerator, effort)
    if (isinstance(base, Fraction) and base < 0) or (isinstance(base, Radical) and base.sign < 0):
        raise negative_root()
    if max(abs(exponent.numerator), exponent.denominator) > MAX_IRRATIONAL_EXPONENT:
        limit = f"{MAX_IRRATIONAL_EXPONENT:,}"
        msg = f"the terms of a fractional exponent must not exceed {limit}"
        raise RefusedError(msg)
    if not isinstance(base, Enclosure):
        exact = radical.power(base, exponent, effort)
        if exact is not None:
            return exact
    # A whole power multiplies the relative width by its exponent.
    guard_bits = exponent.numerator.bit_length()
    bits = effort.bits + guard_bits
    effort.spend(2 * _work_of_root(exponent.denominator, bits))
    root = enclose(base, effort, guard_bits).root(exponent.denominator, bits)
    return _enclosed_power(root, exponent.numerator, effort)


def _work_of_root(index: int, bits: int) -> int:
    if index == 2:
        return _WORK_PER_STEP + 2 * bits**2
    return _WORK_PER_ROOT + (20 + 2 * index.bit_length()) * bits**2


def _enclosed_power(base: Enclosure, exponent: int, effort: Effort) -> Enclosure:
    if abs(exponent) > MAX_IRRATIONAL_EXPONENT:
        msg = f"the exponent of an irrational number must not exceed {MAX_IRRATIONAL_EXPONENT:,}"
        raise RefusedError(msg)
    bits = effort.bits + exponent.bit_length()
    effort.spend(_WORK_PER_ENCLOSURE * exponent.bit_length() * bits**2)
    raised = base.to_power(abs(exponent), bits)
    return raised if exponent > 0 else Enclosure(1, 1, 0).over(raised, bits)


_UNARY: dict[str, Callable[[Value, Effort], Value]] = {
    "abs": absolute,
    "sqrt": square_root,
    "round": lambda value, effort: round_half_even(value, Fraction(0), effort),
}
_BINARY: dict[str, Callable[[Value, Value, Effort], Value]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "//": floor_divide,
    "%": modulo,
    "**": power,
    "round": round_half_even,
}
