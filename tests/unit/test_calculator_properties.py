"""The calculator against Python's own grammar, fractions and decimals, on random expressions."""

from __future__ import annotations

import ast
import decimal
import math
import operator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from app.calculator import calculate
from app.calculator.enclosure import Enclosure, root_of
from app.errors import CalculationError

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_ORACLE_BITS = 4_000


class _TooLargeError(Exception):
    """The oracle would take long; the calculator's limits are tested elsewhere."""


_PYTHONS_OWN: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction | int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


@dataclass(frozen=True, slots=True)
class _Oracle:
    """Evaluates an expression as Python parses it, on fractions."""

    text: str

    def value(self) -> Fraction:
        return self._of(ast.parse(self.text.strip(), mode="eval").body)

    def _of(self, node: ast.expr) -> Fraction:
        match node:
            case ast.Constant():
                literal = ast.get_source_segment(self.text.strip(), node)
                assert literal is not None
                return Fraction(literal)
            case ast.UnaryOp(op=ast.USub()):
                return -self._of(node.operand)
            case ast.UnaryOp(op=ast.UAdd()):
                return self._of(node.operand)
            case ast.BinOp():
                return self._binary(node.op, self._of(node.left), self._of(node.right))
            case ast.Call(func=ast.Name(id=name)):
                return self._call(name, [self._of(argument) for argument in node.args])
        raise AssertionError(ast.dump(node))

    def _binary(self, sign: ast.operator, left: Fraction, right: Fraction) -> Fraction:
        if isinstance(sign, ast.Pow):
            return self._power(left, right)
        return Fraction(_PYTHONS_OWN[type(sign)](left, right))

    def _power(self, base: Fraction, exponent: Fraction) -> Fraction:
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if exponent.denominator > 1 or bits * abs(exponent) > _MAX_ORACLE_BITS:
            raise _TooLargeError
        return base**exponent.numerator

    def _call(self, name: str, arguments: list[Fraction]) -> Fraction:
        match name, arguments:
            case "abs", [value]:
                return abs(value)
            case "min", _:
                return min(arguments)
            case "max", _:
                return max(arguments)
            case "round", [value]:
                return Fraction(round(value))
            case "round", [value, places]:
                return round(value, int(places))
        raise AssertionError(name)


_LITERALS = st.one_of(
    st.integers(0, 12).map(str),
    st.integers(0, 10**30).map(str),
    st.sampled_from(["0.1", ".5", "5.", "1e-3", "2.5E+10", "0.0", "3.14159", "12e2"]),
    st.decimals(0, 1000, places=6, allow_nan=False).map(lambda number: f"{number:f}"),
)
_SPACES = st.sampled_from(["", " ", "  "])
_OPERATORS = st.sampled_from(["+", "-", "*", "/", "//", "%"])


def _compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Larger expressions, mostly without parentheses, so that precedence decides."""
    exponents = st.sampled_from(["0", "1", "2", "3", "-1", "-2", "+2", "-2**2", "(1+2)"])
    return st.one_of(
        st.tuples(inner, _SPACES, _OPERATORS, _SPACES, inner).map("".join),
        st.tuples(inner, _SPACES, st.just("**"), _SPACES, exponents).map("".join),
        st.tuples(st.sampled_from("+-"), _SPACES, inner).map("".join),
        inner.map("({})".format),
        inner.map("abs({})".format),
        inner.map("round({})".format),
        st.tuples(inner, st.integers(-4, 6)).map(lambda pair: f"round({pair[0]}, {pair[1]})"),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"min({', '.join(parts)})"),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"max({','.join(parts)})"),
    )


_EXPRESSIONS = st.recursive(_LITERALS, _compound, max_leaves=12)


@given(_EXPRESSIONS)
def test_a_rational_expression_is_worth_what_python_makes_of_it(expression: str) -> None:
    assume(len(expression) <= 900)
    try:
        expected = _Oracle(expression).value()
    except _TooLargeError:
        reject()
    except ZeroDivisionError:
        with pytest.raises(CalculationError, match="division by zero"):
            calculate(expression)
        return
    assert calculate(expression).exact == str(expected)


@given(st.fractions(), st.integers(-40, 40), st.integers(1, 60))
def test_the_digits_of_a_rational_value_are_right(value: Fraction, scale: int, digits: int) -> None:
    shown = calculate(f"({value.numerator}) / {value.denominator} * 10**({scale})", digits)
    exact = value * Fraction(10) ** scale
    context = decimal.Context(prec=digits, rounding=decimal.ROUND_HALF_EVEN)
    expected = context.divide(Decimal(exact.numerator), Decimal(exact.denominator))
    assert Decimal(shown.result) == expected
    assert shown.rounded == (Fraction(expected) != exact)
    assert calculate(shown.result, digits).result == shown.result


@given(st.integers(0, 10**40), st.integers(1, 10**10), st.integers(1, 60))
def test_the_digits_of_a_square_root_are_right(top: int, bottom: int, digits: int) -> None:
    shown = calculate(f"sqrt({top}/{bottom})", digits)
    expected = (
        decimal.Context(prec=digits + 60)
        .divide(Decimal(top), Decimal(bottom))
        .sqrt(decimal.Context(prec=digits + 60))
    )
    if shown.exact is not None and not shown.exact.startswith("sqrt"):
        assert Fraction(shown.exact) ** 2 == Fraction(top, bottom)
        return
    assert Decimal(shown.result) == decimal.Context(prec=digits).plus(expected)


@given(
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    st.integers(-50, 50),
    st.integers(1, 60),
    st.integers(1, 40),
)
def test_the_digits_of_powers_and_their_sums_are_right(
    base: int, other: int, top: int, bottom: int, digits: int
) -> None:
    precise = decimal.Context(prec=digits + 500)
    exponent = precise.divide(Decimal(top), Decimal(bottom))
    power = precise.power(Decimal(base), exponent)
    expected = precise.subtract(power, precise.sqrt(Decimal(other)))
    assume(abs(expected) > Decimal("1e-40"))
    shown = calculate(f"{base}**({top}/{bottom}) - sqrt({other})", digits)
    if shown.exact is None or "(" in shown.exact:
        assert Decimal(shown.result) == decimal.Context(prec=digits).plus(expected)
    else:
        assert abs(Fraction(shown.exact) - Fraction(expected)) < Fraction(1, 10**40)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(2, 12), st.integers(2, 12))
def test_an_exact_value_reads_back_as_itself(top: int, bottom: int, p: int, q: int) -> None:
    exact = calculate(f"-({top}/{bottom})**({p}/{q})").exact
    assert exact is not None
    assert calculate(exact).exact == exact


@given(st.fractions(min_value=Fraction(1, 10**6)), st.integers(2, 30))
def test_a_root_is_rational_exactly_when_it_is_a_fraction(value: Fraction, index: int) -> None:
    assert calculate(f"(({value})**{index})**(1/{index})").exact == str(value)
    if value.numerator**index + 1 > 2:
        exact = calculate(f"({value.numerator}**{index} + 1)**(1/{index})").exact
        assert exact is None or "(" in exact


_ENDS = st.fractions(min_value=-(10**9), max_value=10**9)
_BITS = st.integers(8, 200)


@given(_ENDS, _ENDS, _BITS, st.integers(1, 20))
def test_an_enclosure_holds_what_it_stands_for(
    a: Fraction, b: Fraction, bits: int, exponent: int
) -> None:
    left, right = Enclosure.of(a, bits), Enclosure.of(b, bits)
    assert _holds(left, a)
    assert _holds(left.negated(), -a)
    assert _holds(left.magnitude(), abs(a))
    assert _holds(left.plus(right, bits), a + b)
    assert _holds(left.times(right, bits), a * b)
    assert _holds(left.to_power(exponent, bits), a**exponent)
    assert _holds(left.hull_of_least(right, bits), min(a, b))
    if b:
        assert _holds(left.over(right, bits), a / b)


@given(_ENDS, _ENDS, _ENDS, _ENDS)
def test_wide_enclosures_hold_every_outcome(
    a: Fraction, b: Fraction, c: Fraction, d: Fraction
) -> None:
    left, right = _between(a, b), _between(c, d)
    for x in (a, b, (a + b) / 2):
        assert _holds(left.magnitude(), abs(x))
        assert _holds(left.to_power(2, 20), x**2)
        for y in (c, d, (c + d) / 2):
            assert _holds(left.plus(right, 20), x + y)
            assert _holds(left.times(right, 20), x * y)
            if not right.low <= 0 <= right.high:
                assert _holds(left.over(right, 20), x / y)


@given(
    st.fractions(min_value=Fraction(1, 10**9), max_value=10**30),
    st.integers(2, 40) | st.sampled_from([997, 10**6, 10**9]),
    _BITS | st.integers(200, 2_000),
)
def test_an_enclosed_root_is_right_and_narrow(value: Fraction, index: int, bits: int) -> None:
    low, high = root_of(value, index, bits).ends
    assert 0 < low <= high
    assert high - low <= low * Fraction(2) ** (4 - bits)
    if index <= 40:
        assert low**index <= value <= high**index


def _between(a: Fraction, b: Fraction) -> Enclosure:
    low, high = sorted((a, b))
    return Enclosure(math.floor(low * 2**20), math.ceil(high * 2**20), -20)


def _holds(interval: Enclosure, value: Fraction) -> bool:
    low, high = interval.ends
    return low <= value <= high
