"""Hostile expressions are refused, and the longest accepted ones finish, within a bounded time."""

from __future__ import annotations

import sys
import time

import pytest

from app.calculator import MAX_EXPRESSION_LENGTH, MAX_RESULT_DIGITS, MAX_VALUE_DIGITS, calculate
from app.errors import CalculationError

# Measured under 10 ms each; the bound allows for a busy machine.
_TIME_LIMIT_S = 0.1

_PRIMES = [p for p in range(2, 800) if all(p % q for q in range(2, p))]


def _squared(base: str, times: int) -> str:
    return "(" * times + base + ")**2" * times


_REFUSED = {
    "tower of powers": "9**9**9**9",
    "tower of twos": "2**" * 300 + "2",
    "power of a great exponent": "2**1e9",
    "negative great exponent": "2**-1e9",
    "great exponent of a fraction": "(1 + 1e-9)**1e9",
    "exponent of many digits": "1e" + "9" * 900,
    "great literal": "1e999999999",
    "small literal": "1e-999999999",
    "megabyte of parentheses": "(" * 1_000_000,
    "megabyte of digits": "9" * 1_000_000,
    "megabyte of space": " " * 1_000_000,
    "great floor": "9" * 490 + "e3500 // 7e-3000",
    "repeated squaring": _squared("3/7", 14),
    "repeated squaring of a root": _squared("(1+sqrt(2))", 20),
    "great rounding": "round(1, 10**9)",
    "thousands of functions": "abs(" * 5_000 + "1" + ")" * 5_000,
    "unclosed parentheses": "(" * 999 + "1",
    "sums of great fractions": "+".join(f"1/{p}**1000" for p in _PRIMES[:70]),
    "products of great fractions": "*".join(["3**8383/7**4733", "7**4733/3**8383"] * 30),
    "cancelled great fractions": "-".join(["3**8383/7**4733"] * 60),
    "comparisons of great fractions": f"max({','.join(['3**8383/7**4733'] * 60)})",
    "great literals": "+".join(["7e-3999"] * 120),
    "many roundings": "+".join(["round(3**8383/7,-3999)"] * 43),
    "great square roots": "+".join(["sqrt(7**4701)"] * 70),
    "great cube roots": "+".join(["(7**4700)**(1/3)"] * 50),
    "high roots": "+".join(["2**(1/997)"] * 90),
    "high roots of great numbers": "+".join(["(7**4700)**(1/999999937)"] * 40),
    "floors that need precision": "+".join(["sqrt(2*10**3998)//1"] * 50),
    "zero that cannot be proved": "({0})-({0})".format(
        "+".join(f"sqrt({p})" for p in _PRIMES[:50])
    ),
}

_ACCEPTED = {
    "sum of 1/p": "+".join(f"1/{p}" for p in _PRIMES[:130]),
    "parentheses": "(" * 499 + "1" + ")" * 499,
    "signs": "-" * 999 + "1",
    "functions": "abs(" * 199 + "1" + ")" * 199,
    "powers": "**".join(["1"] * 333),
    "arguments": f"max({','.join(['1'] * 490)})",
    "square roots": "+".join(f"sqrt({p})" for p in _PRIMES[:100]),
    "nested square roots": "sqrt(1+" * 120 + "2" + ")" * 120,
    "product of square roots": "*".join(f"sqrt({p})" for p in _PRIMES[:90]),
    "greatest number": "9" * 900 + "e3099",
}


@pytest.mark.parametrize("digits", [28, MAX_RESULT_DIGITS])
@pytest.mark.parametrize("name", _REFUSED)
def test_a_hostile_expression_is_refused_at_once(name: str, digits: int) -> None:
    start = time.process_time()
    with pytest.raises(CalculationError):
        calculate(_REFUSED[name], digits)
    assert time.process_time() - start < _TIME_LIMIT_S


@pytest.mark.parametrize("name", _ACCEPTED)
def test_a_long_expression_is_calculated_at_once(name: str) -> None:
    expression = _ACCEPTED[name]
    assert len(expression) <= MAX_EXPRESSION_LENGTH
    start = time.process_time()
    calculate(expression)
    assert time.process_time() - start < _TIME_LIMIT_S


def test_nesting_does_not_use_the_stack() -> None:
    depth_here = 0
    frame = sys._getframe()
    while frame.f_back is not None:
        depth_here, frame = depth_here + 1, frame.f_back
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(depth_here + 60)
    try:
        result = calculate(_ACCEPTED["functions"])
    finally:
        sys.setrecursionlimit(before)
    assert result.exact == "1"


@pytest.mark.parametrize(
    "expression", [f"10**{MAX_VALUE_DIGITS} - 1", f"1/(10**{MAX_VALUE_DIGITS}-1)"]
)
def test_a_power_past_the_limit_is_refused_even_on_the_way(expression: str) -> None:
    with pytest.raises(CalculationError, match="at most 4,000 digits are kept"):
        calculate(expression)


def test_the_greatest_value_is_written_out() -> None:
    nines = "9" * 400
    exact = calculate(f"{nines}e{MAX_VALUE_DIGITS - 400}").exact
    assert exact == nines.ljust(MAX_VALUE_DIGITS, "0")
