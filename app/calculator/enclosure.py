"""Intervals with binary ends: where a number that is not known exactly must lie.

Guarantees: the result of every operation contains the result of that operation on any numbers that
its operands contain. Each end is rounded outwards to the precision asked for. An outcome that the
ends do not settle (a sign, a division by what may be zero) raises `UndecidedError` instead of a
guess. All arithmetic is on integers; `decimal` only proposes where the search for a root starts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction

from app.calculator.limits import (
    CEILING_BITS,
    MAX_PRECISION_BITS,
    RefusedError,
    UndecidedError,
    too_long,
)

_SEED = Context(prec=40, traps=[])
_SEED_BITS = 128
# Differences inside the search for a root are as small as the finest precision, so the least
# magnitude lies well below that; it keeps the shifts that align two intervals short.
_LEAST_EXPONENT = -3 * MAX_PRECISION_BITS
_GUARD_BITS = 16


@dataclass(frozen=True, slots=True)
class Enclosure:
    """Every number from `low * 2**exponent` to `high * 2**exponent`."""

    low: int
    high: int
    exponent: int

    @classmethod
    def of(cls, value: Fraction, bits: int) -> Enclosure:
        """The narrowest interval of about `bits` bits around a fraction."""
        numerator, denominator = value.numerator, value.denominator
        shift = bits - numerator.bit_length() + denominator.bit_length()
        if shift >= 0:
            numerator <<= shift
        else:
            denominator <<= -shift
        return cls(numerator // denominator, -(-numerator // denominator), -shift)

    @property
    def ends(self) -> tuple[Fraction, Fraction]:
        """The two ends as fractions, the lower first."""
        scale = Fraction(1 << max(self.exponent, 0), 1 << max(-self.exponent, 0))
        return self.low * scale, self.high * scale

    def sign(self) -> int:
        """1 or -1.

        Raises:
            UndecidedError: the interval holds zero.
        """
        if self.low > 0:
            return 1
        if self.high < 0:
            return -1
        msg = "this value cannot be told from zero"
        raise UndecidedError(msg)

    def negated(self) -> Enclosure:
        """The interval of the opposite numbers."""
        return Enclosure(-self.high, -self.low, self.exponent)

    def magnitude(self) -> Enclosure:
        """The interval of the absolute values."""
        if self.low >= 0:
            return self
        if self.high <= 0:
            return self.negated()
        return Enclosure(0, max(-self.low, self.high), self.exponent)

    def plus(self, other: Enclosure, bits: int) -> Enclosure:
        """The interval of the sums."""
        first, second, exponent = _aligned(self, other)
        return _outward(first.low + second.low, first.high + second.high, exponent, bits)

    def times(self, other: Enclosure, bits: int) -> Enclosure:
        """The interval of the products."""
        exponent = self.exponent + other.exponent
        if self.low >= 0 and other.low >= 0:
            return _outward(self.low * other.low, self.high * other.high, exponent, bits)
        products = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return _outward(min(products), max(products), exponent, bits)

    def over(self, other: Enclosure, bits: int) -> Enclosure:
        """The interval of the quotients.

        Raises:
            UndecidedError: the divisor may be zero.
        """
        if other.low <= 0 <= other.high:
            msg = "the divisor cannot be told from zero"
            raise UndecidedError(msg)
        if other.high < 0:
            return self.negated().over(other.negated(), bits)
        shift = max(0, bits + _length(other) - _length(self) + 1)
        low, high = self.low << shift, self.high << shift
        low = low // (other.high if low >= 0 else other.low)
        high = -(-high // (other.low if high >= 0 else other.high))
        return _outward(low, high, self.exponent - other.exponent - shift, bits)

    def to_power(self, exponent: int, bits: int) -> Enclosure:
        """The interval of the powers; the exponent is a whole number, 1 or more."""
        result = self
        # From the left: no square is larger than the power itself, so none is refused for its size.
        for bit in bin(exponent)[3:]:
            result = result.times(result, bits)
            if bit == "1":
                result = result.times(self, bits)
        return result

    def root(self, index: int, bits: int) -> Enclosure:
        """The interval of the roots.

        Raises:
            RefusedError: every number in the interval is negative.
            UndecidedError: some are.
        """
        if self.sign() < 0:
            raise negative_root()
        low, high = self.ends
        first, second, exponent = _aligned(root_of(low, index, bits), root_of(high, index, bits))
        return _outward(first.low, second.high, exponent, bits)

    def hull_of_least(self, other: Enclosure, bits: int) -> Enclosure:
        """The interval of the lesser of two numbers, one from each."""
        first, second, exponent = _aligned(self, other)
        return _outward(min(first.low, second.low), min(first.high, second.high), exponent, bits)


def root_of(value: Fraction, index: int, bits: int) -> Enclosure:
    """Enclose the root of a positive fraction to a relative width of about 2**-bits."""
    if index == 2:
        return _square_root(value, bits)
    finest = bits + index.bit_length() + _GUARD_BITS
    precision = min(2 * _SEED_BITS, finest)
    target = Enclosure.of(value, precision)
    seed = approximate_root(target.low, target.exponent, index)
    root = Enclosure.of(Fraction(seed), precision)
    width = 0
    # Each step doubles the correct bits; one at full precision that does not help has met the
    # rounding of the ends.
    while True:
        root = _newton(target, root, index, precision)
        before, width = width, (root.high - root.low).bit_length() - _length(root)
        if precision == finest and (width <= -bits or width >= before):
            return root
        precision = min(2 * precision, finest)
        target = Enclosure.of(value, precision)


def approximate_root(mantissa: int, exponent: int, index: int) -> Decimal:
    """The root of `mantissa * 2**exponent` to 30 digits or so: a starting point, never a result."""
    excess = max(mantissa.bit_length() - _SEED_BITS, 0)
    logarithm = _SEED.ln(Decimal(mantissa >> excess))
    shift = _SEED.multiply(_SEED.ln(Decimal(2)), Decimal(exponent + excess))
    return _SEED.exp(_SEED.divide(_SEED.add(logarithm, shift), Decimal(index)))


def negative_root() -> RefusedError:
    """The refusal of a root that is not a real number."""
    return RefusedError("a negative number has no real root")


def _square_root(value: Fraction, bits: int) -> Enclosure:
    numerator, denominator = value.numerator, value.denominator
    shift = bits - (numerator.bit_length() - denominator.bit_length()) // 2
    if shift >= 0:
        numerator <<= 2 * shift
    else:
        denominator <<= -2 * shift
    root = math.isqrt(numerator // denominator)
    return Enclosure(root, root + 1, -shift)


def _newton(target: Enclosure, guess: Enclosure, index: int, bits: int) -> Enclosure:
    """A narrower interval for the root of `target`, from any point near it.

    For a point x and t = target / x**k, Bernoulli's inequality gives t**(1/k) <= 1 + (t - 1)/k and,
    applied to 1/t, t**(1/k) >= 1 + (1 - 1/t)/k. The root is x * t**(1/k), so the two bounds enclose
    it wherever x is, and their distance is of the order of (t - 1)**2.
    """
    middle = (guess.low + guess.high) // 2
    point = Enclosure(middle, middle, guess.exponent)
    one, count = Enclosure(1, 1, 0), Enclosure(index, index, 0)
    ratio = target.over(point.to_power(index, bits), bits)
    above = ratio.plus(one.negated(), bits).over(count, bits).plus(one, bits)
    below = one.plus(one.over(ratio, bits).negated(), bits).over(count, bits).plus(one, bits)
    first, second, exponent = _aligned(below, above)
    return point.times(Enclosure(first.low, second.high, exponent), bits)


def _length(interval: Enclosure) -> int:
    return max(interval.low.bit_length(), interval.high.bit_length())


def _aligned(first: Enclosure, second: Enclosure) -> tuple[Enclosure, Enclosure, int]:
    """Both intervals over the lesser of their exponents."""
    exponent = min(first.exponent, second.exponent)
    return _lowered(first, exponent), _lowered(second, exponent), exponent


def _lowered(interval: Enclosure, exponent: int) -> Enclosure:
    shift = interval.exponent - exponent
    return Enclosure(interval.low << shift, interval.high << shift, exponent)


def _outward(low: int, high: int, exponent: int, bits: int) -> Enclosure:
    """Round the ends outwards to `bits` bits, and refuse what no value may reach."""
    length = max(low.bit_length(), high.bit_length())
    excess = max(length - bits, 0)
    if length == 0:
        return Enclosure(0, 0, 0)
    if length + exponent > CEILING_BITS + 1:
        raise too_long()
    if length + exponent < _LEAST_EXPONENT:
        msg = "the result is too close to zero"
        raise RefusedError(msg)
    return Enclosure(low >> excess, -(-high >> excess), exponent + excess)
