"""Each error points at the character at fault and says what is wrong there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.calculator import (
    FUNCTIONS,
    MAX_EXPRESSION_LENGTH,
    MAX_OPERAND_LENGTH,
    Operation,
    Result,
    binary,
    calculate,
)
from app.errors import CalculationError

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("expression", "position", "reason"),
    [
        ("", 0, "the expression is empty"),
        ("   ", 3, "the expression is empty"),
        ("1" * (MAX_EXPRESSION_LENGTH + 1), MAX_EXPRESSION_LENGTH, "longer than 1,000"),
        # characters
        ("2 $ 3", 2, "unknown character '$'"),
        ("2 ^ 3", 2, "write ** for a power"),
        ("1 + \u0663", 4, "write numbers with the digits 0 to 9"),
        ("\uff11", 0, "write numbers with the digits 0 to 9"),
        ("2\u00b2", 1, "write numbers with the digits 0 to 9"),
        ("1\x00", 1, "unknown character U+0000"),
        ("\ud800", 0, "unknown character U+D800"),
        ("2 * \u0430bs(1)", 4, "unknown character"),
        ("1 = 1", 2, "unknown character '='"),
        # numbers
        (".", 0, "a digit is missing next to the decimal point"),
        ("1 + .e5", 4, "a digit is missing next to the decimal point"),
        ("1.2.3", 3, "an operator is missing"),
        ("1e", 2, "a digit is missing after the e"),
        ("1e+", 3, "a digit is missing after the e"),
        ("1e* 2", 2, "a digit is missing after the e"),
        ("1_000", 1, "unknown name '_000'"),
        ("0x10", 1, "unknown name 'x10'"),
        # names
        ("1 + foo(2)", 4, "unknown name 'foo': the functions are abs, max, min, round, sqrt"),
        ("pi", 0, "unknown name 'pi'"),
        ("2x", 1, "unknown name 'x'"),
        ("x" * 500, 0, f"unknown name '{'x' * 20}'"),
        ("2 * sqrt", 4, "sqrt takes its arguments in parentheses"),
        ("sqrt 2", 0, "sqrt takes its arguments in parentheses"),
        # operands and operators
        ("1 +", 3, "the expression ends where a number is due, after '+'"),
        ("1 + ", 4, "the expression ends where a number is due"),
        ("-", 1, "the expression ends where a number is due"),
        ("* 2", 0, "a number is missing before '*'"),
        ("1 + * 2", 4, "a number is missing before '*'"),
        ("2 ** / 3", 5, "a number is missing before '/'"),
        ("2 \u00d7\u00d7 3", 3, "a number is missing before '*'"),
        ("(1 + )", 5, "a number is missing before ')'"),
        ("2(3)", 1, "multiplication is written with *"),
        ("(2)(3)", 3, "multiplication is written with *"),
        ("2 sqrt(4)", 2, "multiplication is written with *"),
        ("1 2", 2, "an operator is missing"),
        # parentheses and arguments
        ("(1", 0, "this parenthesis is never closed"),
        ("2 * (1 + (3)", 4, "this parenthesis is never closed"),
        ("(", 1, "the expression ends where a number is due"),
        ("sqrt(4", 4, "this parenthesis is never closed"),
        (")", 0, "this parenthesis was never opened"),
        ("1)", 1, "this parenthesis was never opened"),
        ("(1)) + 2", 3, "this parenthesis was never opened"),
        ("()", 1, "these parentheses are empty"),
        ("1 + abs()", 4, "abs takes 1 argument, not 0"),
        ("sqrt(1, 2)", 0, "sqrt takes 1 argument, not 2"),
        ("min()", 0, "min takes at least 1 argument, not 0"),
        ("round(1, 2, 3)", 0, "round takes 1 or 2 arguments, not 3"),
        ("max(1,)", 6, "a number is missing before ')'"),
        ("max(,1)", 4, "a number is missing before ','"),
        ("1,5", 1, "write a decimal point as a full stop"),
        ("abs((1,5))", 6, "write a decimal point as a full stop"),
        # values
        ("1 / 0", 2, "division by zero"),
        ("1 // (2 - 2)", 2, "division by zero"),
        ("3 + 5 % 0.0", 6, "division by zero"),
        ("sqrt(2) / 0", 8, "division by zero"),
        ("0**-1", 1, "0 has no negative power"),
        ("0**-0.5", 1, "0 has no negative power"),
        ("2 + sqrt(-4)", 4, "a negative number has no real root"),
        ("(-8)**(1/3)", 4, "a negative number has no real root"),
        ("sqrt(1 - sqrt(2))", 0, "a negative number has no real root"),
        ("sqrt(-sqrt(2))", 0, "a negative number has no real root"),
        ("2**sqrt(2)", 1, "an irrational exponent is not supported"),
        ("round(1, 0.5)", 0, "must be a whole number"),
        ("round(1, sqrt(2))", 0, "must be a whole number"),
        ("round(1, 4001)", 0, "must be from -4,000 to 4,000"),
        ("1 + 2**1e-10", 5, "the terms of a fractional exponent must not exceed"),
        ("(1 + sqrt(2)/1e10)**1e10", 18, "the exponent of an irrational number must not exceed"),
        ("2**1e9", 1, "at most 4,000 digits are kept"),
        ("9**9**9**9", 4, "at most 4,000 digits are kept"),
        ("1e999999999", 0, "at most 4,000 digits are kept"),
        ("1 + 1e4000", 4, "at most 4,000 digits are kept"),
        ("1 + 1e-4001", 4, "at most 4,000 digits are kept"),
        ("9e3999 + 1e3999", 7, "at most 4,000 digits are kept"),
        ("2 * 10**4000", 6, "at most 4,000 digits are kept"),
        ("(1 + sqrt(2))**99999", 13, "at most 4,000 digits are kept"),
        # what no precision settles: these are zero, but nothing here proves it
        ("(sqrt(2) + 1) - (sqrt(2) + 1)", 14, "cannot be told from zero"),
        ("1 / ((sqrt(2)+1) - (sqrt(2)+1))", 2, "the divisor cannot be told from zero"),
        ("sqrt((sqrt(2)+1) - (sqrt(2)+1))", 0, "cannot be told from zero"),
        ("((sqrt(2)+1) - sqrt(2)) // 1", 24, "cannot be told from the next one"),
    ],
)
def test_errors_point_at_the_character(expression: str, position: int, reason: str) -> None:
    with pytest.raises(CalculationError) as caught:
        calculate(expression)
    error = caught.value
    assert (error.position, error.expression) == (position, expression)
    assert reason in error.reason
    assert not error.reason.endswith(".")


def test_a_tie_that_no_precision_settles_is_refused() -> None:
    almost_half = "(sqrt(2) + 1) * (sqrt(2) - 1) + 0.5"
    assert calculate(almost_half, 2).result == "1.5"
    with pytest.raises(CalculationError, match="the last digit cannot be told"):
        calculate(almost_half, 1)


@pytest.mark.parametrize(
    ("a", "b", "reason", "expression", "position"),
    [
        ("", "1", "a: expected one number", "", 0),
        ("1", " ", "b: expected one number", " ", 1),
        ("1", "2x", "b: expected one number", "2x", 1),
        ("1+1", "2", "a: expected one number", "1+1", 1),
        ("--1", "2", "a: expected one number", "--1", 1),
        ("(1)", "2", "a: expected one number", "(1)", 0),
        ("1", "1e 5", "b: expected one number", "1e 5", 1),
        ("\u0661", "1", "a: expected one number", "\u0661", 0),
        ("nan", "1", "a: expected one number", "nan", 0),
        ("1" * 499, "1", "a: the number is longer than 498", "1" * 499, MAX_OPERAND_LENGTH),
        ("1", "0", "division by zero", "1 / 0", 2),
        ("1", "1e5000", "at most 4,000 digits", "1 / 1e5000", 4),
    ],
)
def test_binary_names_the_parameter(
    a: str, b: str, reason: str, expression: str, position: int
) -> None:
    with pytest.raises(CalculationError) as caught:
        binary("divide", a, b)
    assert caught.value.reason.startswith(reason) or reason in caught.value.reason
    assert (caught.value.expression, caught.value.position) == (expression, position)


def test_an_unknown_operation_is_the_callers_mistake() -> None:
    operation: Operation = "modulo"  # type: ignore[assignment]
    with pytest.raises(ValueError, match="operation must be one of add, subtract"):
        binary(operation, "1", "2")


_PIECES = st.sampled_from(
    [
        *"0123456789.eE+-*/%(), _x\u00d7\u00f7\u2212\u0663",
        "**",
        "//",
        "1e9",
        "1/3",
        "sqrt(2)",
        "0.5",
    ]
    + [f"{name}(" for name in FUNCTIONS]
)


@given(st.lists(_PIECES, max_size=60).map("".join))
@example("9**9**9**9")
@example("round(sqrt(2)*10**3999, 4000)")
def test_a_text_in_the_alphabet_gives_a_result_or_a_calculation_error(text: str) -> None:
    _result_or_calculation_error(text)


@given(st.text(max_size=1_100))
def test_any_text_gives_a_result_or_a_calculation_error(text: str) -> None:
    _result_or_calculation_error(text)


@given(st.text(max_size=20), st.text(max_size=20))
def test_binary_on_any_text_gives_a_result_or_a_calculation_error(a: str, b: str) -> None:
    error = _calculation_error(lambda: binary("divide", a, b))
    assert error is None or 0 <= error.position <= len(error.expression)


def _result_or_calculation_error(text: str) -> None:
    error = _calculation_error(lambda: calculate(text))
    if error is not None:
        assert error.expression == text
        assert 0 <= error.position <= len(text)
        error.reason.encode()  # a lone surrogate in the text must not reach the message


def _calculation_error(calculation: Callable[[], Result]) -> CalculationError | None:
    try:
        calculation()
    except CalculationError as error:
        return error
    return None
