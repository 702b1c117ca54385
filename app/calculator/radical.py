"""Irrational roots of fractions, kept exact.

Owns `Radical`, a root in lowest terms, and the operations that stay exact on it: products,
quotients, rational powers, and sums of two that differ by a rational factor. So `sqrt(2)*sqrt(2)`
is 2 because 2*2 is a square, not because digits agree. What leaves this form (`sqrt(2) + 1`) is
answered with None here, and enclosed by `app.calculator.arithmetic`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from app.calculator.enclosure import approximate_root
from app.calculator.limits import (
    CEILING,
    CEILING_BITS,
    MAX_EXACT_INDEX,
    Effort,
    size_bits,
)

# A starting point good to 30 digits is above the root once it is raised by 1e-20 of itself.
_ABOVE = 1 + Decimal("1e-20")
# Counted in the unit of `MAX_WORK`, from measurements.
_WORK_PER_ROOT = 4
_WORK_PER_DIVISION = 50_000
_WORK_PER_SEED = 40_000_000


@dataclass(frozen=True, slots=True)
class Radical:
    """The irrational number `sign * radicand ** (1/index)`.

    In lowest terms: the radicand is positive and, for no divisor of the index, a perfect power; so
    two are equal exactly when their attributes are.
    """

    sign: int
    radicand: Fraction
    index: int

    def negated(self) -> Radical:
        """The opposite number."""
        return Radical(-self.sign, self.radicand, self.index)

    def __str__(self) -> str:
        """The root as an expression that the calculator reads back."""
        sign = "-" if self.sign < 0 else ""
        if self.index == 2:
            return f"{sign}sqrt({self.radicand})"
        inside = str(self.radicand)
        return f"{sign}{f'({inside})' if '/' in inside else inside}**(1/{self.index})"


Exact = Fraction | Radical


def power(base: Exact, exponent: Fraction, effort: Effort) -> Exact | None:
    """A positive number to a rational power; None if the result is not kept exact."""
    _, radicand, index = _parts(base)
    raised = _raised(radicand, exponent.numerator, effort)
    if raised is None:
        return None
    return _lowest_terms(1, raised, index * exponent.denominator, effort)


def product(first: Exact, second: Exact, effort: Effort) -> Exact | None:
    """The product of two numbers other than zero; None if it is not kept exact."""
    sign, radicand, index = _parts(first)
    other_sign, other_radicand, other_index = _parts(second)
    common = math.lcm(index, other_index)
    if common > MAX_EXACT_INDEX:
        return None
    left = _raised(radicand, common // index, effort)
    right = _raised(other_radicand, common // other_index, effort)
    if left is None or right is None:
        return None
    effort.spend(size_bits(left) * size_bits(right))
    return _lowest_terms(sign * other_sign, left * right, common, effort)


def quotient(first: Exact, second: Exact, effort: Effort) -> Exact | None:
    """The quotient of two numbers other than zero; None if it is not kept exact."""
    sign, radicand, index = _parts(second)
    inverse = 1 / radicand
    return product(first, sign * inverse if index == 1 else Radical(sign, inverse, index), effort)


def total(first: Exact, second: Exact, effort: Effort) -> Exact | None:
    """The sum of two numbers other than zero; None unless their ratio is rational."""
    ratio = quotient(first, second, effort)
    if not isinstance(ratio, Fraction):
        return None
    if ratio == -1:
        return Fraction(0)
    return product(ratio + 1, second, effort)


def perfect_root(value: Fraction, index: int, effort: Effort) -> Fraction | None:
    """The root of a positive fraction if it is rational."""
    numerator = _integer_root(value.numerator, index, effort)
    if numerator is None:
        return None
    denominator = _integer_root(value.denominator, index, effort)
    return None if denominator is None else Fraction(numerator, denominator)


def _parts(value: Exact) -> tuple[int, Fraction, int]:
    if isinstance(value, Radical):
        return value.sign, value.radicand, value.index
    return (1 if value > 0 else -1), abs(value), 1


def _raised(base: Fraction, exponent: int, effort: Effort) -> Fraction | None:
    """A positive fraction to a whole power; None past the limits of size."""
    if base == 1:
        return base
    length = max(base.numerator.bit_length(), base.denominator.bit_length())
    if (length - 1) * abs(exponent) > CEILING_BITS:
        return None
    effort.spend((length * exponent) ** 2)
    return base**exponent


def _lowest_terms(sign: int, radicand: Fraction, index: int, effort: Effort) -> Exact | None:
    if radicand == 1:
        return Fraction(sign)
    for prime in _prime_factors(index, up_to=size_bits(radicand), effort=effort):
        root = perfect_root(radicand, prime, effort)
        while root is not None and index % prime == 0:
            radicand, index = root, index // prime
            root = perfect_root(radicand, prime, effort)
    if index > MAX_EXACT_INDEX or max(radicand.numerator, radicand.denominator) >= CEILING:
        return None
    return sign * radicand if index == 1 else Radical(sign, radicand, index)


def _prime_factors(number: int, up_to: int, effort: Effort) -> list[int]:
    """The prime factors that an exponent of a number of `up_to` bits can have."""
    effort.spend(_WORK_PER_DIVISION * min(up_to, math.isqrt(number)))
    factors = []
    divisor = 2
    while divisor * divisor <= number and divisor <= up_to:
        if number % divisor == 0:
            factors.append(divisor)
            while number % divisor == 0:
                number //= divisor
        divisor += 1
    return [*factors, number] if 1 < number <= up_to else factors


def _integer_root(number: int, index: int, effort: Effort) -> int | None:
    """The root of a positive integer if it is an integer."""
    length = number.bit_length()
    if number == 1:
        return 1
    if index >= length:
        return None
    seed = 0 if index == 2 else _WORK_PER_SEED
    effort.spend(seed + _WORK_PER_ROOT * length * length)
    root = math.isqrt(number) if index == 2 else _floor_root(number, index)
    return root if root**index == number else None


def _floor_root(number: int, index: int) -> int:
    """Newton's method from above, where it falls until it reaches the floor of the root."""
    root = int(approximate_root(number, 0, index) * _ABOVE) + 1
    while True:
        lower = ((index - 1) * root + number // root ** (index - 1)) // index
        if lower >= root:
            return root
        root = lower
