"""What expressions are worth: values, exactness, rounding and notation."""

from __future__ import annotations

import math

import pytest

from app.calculator import MAX_RESULT_DIGITS, Operation, Result, binary, calculate


@pytest.mark.parametrize(
    ("expression", "exact"),
    [
        ("0.1 + 0.2", "3/10"),
        ("1 - 0.9", "1/10"),
        ("1/3 + 1/6", "1/2"),
        (".5 + 5.", "11/2"),
        ("1e-3", "1/1000"),
        ("2.5E+10", "25000000000"),
        ("0e999999999", "0"),
        ("007", "7"),
        # Python's precedence and associativity
        ("2 + 3 * 4", "14"),
        ("2 * 3 + 4", "10"),
        ("10 - 4 - 3", "3"),
        ("100 / 10 / 5", "2"),
        ("2 * 7 // 4 % 3", "0"),
        ("-2**2", "-4"),
        ("(-2)**2", "4"),
        ("2**3**2", "512"),
        ("(2**3)**2", "64"),
        ("2**-1", "1/2"),
        ("2**-1**2", "1/2"),
        ("-2**-2", "-1/4"),
        ("2**-2*3", "3/4"),
        ("- -3", "3"),
        ("+-+3", "-3"),
        ("2*-3", "-6"),
        ("-3*2", "-6"),
        ("-7 % 3", "2"),
        ("0**0", "1"),
        ("0**5", "0"),
        ("(-1)**999999999999", "-1"),
        ("(-1)**-1e12", "1"),
        # floor semantics
        ("7 // 2", "3"),
        ("-7 // 2", "-4"),
        ("7 // -2", "-4"),
        ("7 % -3", "-2"),
        ("-7.5 % 2", "1/2"),
        ("1e3000 % 1e-3000", "0"),
        # functions
        ("abs(-3/4)", "3/4"),
        ("min(3, 1, 2)", "1"),
        ("max(1/3, 0.333)", "1/3"),
        ("max(4)", "4"),
        ("min(1, max(2, 3)) + abs(min(-1, 1))", "2"),
        ("sqrt(0)", "0"),
        ("sqrt(16/9)", "4/3"),
        ("sqrt(0.25)", "1/2"),
        ("sqrt(10**60)", "1" + "0" * 30),
        # people type these
        ("2 \u00d7 3 \u00f7 4 \u2212 1", "1/2"),
        ("1e\u22123", "1/1000"),
        ("\u00a07\u2009*\t6\n", "42"),
    ],
)
def test_a_rational_value_is_exact(expression: str, exact: str) -> None:
    assert calculate(expression).exact == exact


@pytest.mark.parametrize(
    ("expression", "exact"),
    [
        ("round(0.5)", "0"),
        ("round(1.5)", "2"),
        ("round(2.5)", "2"),
        ("round(-0.5)", "0"),
        ("round(-1.5)", "-2"),
        ("round(2.675, 2)", "67/25"),
        ("round(2.665, 2)", "133/50"),
        ("round(1250, -2)", "1200"),
        ("round(1350, -2)", "1400"),
        ("round(1/3, 3)", "333/1000"),
        ("round(2.0000001)", "2"),
        ("round(7, 0)", "7"),
        ("round(1, 4000)", "1"),
        ("round(1, -4000)", "0"),
    ],
)
def test_round_takes_halves_to_the_even_neighbour(expression: str, exact: str) -> None:
    assert calculate(expression).exact == exact


@pytest.mark.parametrize(
    ("expression", "digits", "result", "rounded"),
    [
        ("0.1 + 0.2", 28, "0.3", False),
        ("1/3", 28, "0." + "3" * 28, True),
        ("2/3", 5, "0.66667", True),
        ("-2/3", 5, "-0.66667", True),
        ("1/8", 3, "0.125", False),
        ("1/8", 2, "0.12", True),
        ("3/8", 2, "0.38", True),
        ("99.96", 3, "100", True),
        ("999.6", 3, "1e+3", True),
        ("0.99999", 3, "1", True),
        ("12345", 5, "12345", False),
        ("12345", 4, "1.234e+4", True),
        ("12355", 4, "1.236e+4", True),
        ("10**27", 28, "1" + "0" * 27, False),
        ("10**28", 28, "1e+28", False),
        ("2**100", 28, "1.267650600228229401496703205e+30", True),
        ("1e-7", 28, "0.0000001", False),
        ("1.5e-8", 28, "1.5e-8", False),
        ("-1.5e-8", 28, "-1.5e-8", False),
        ("-1e300", 28, "-1e+300", False),
        ("0", 1, "0", False),
        ("-0", 28, "0", False),
        ("100.00", 28, "100", False),
        ("5", 1, "5", False),
        ("15", 1, "2e+1", True),
        ("25", 1, "2e+1", True),
    ],
)
def test_the_result_has_at_most_the_digits_asked_for(
    expression: str, digits: int, result: str, *, rounded: bool
) -> None:
    shown = calculate(expression, digits)
    assert (shown.result, shown.rounded) == (result, rounded)


@pytest.mark.parametrize(
    ("expression", "exact"),
    [
        ("sqrt(2) * sqrt(2)", "2"),
        ("sqrt(2)**2", "2"),
        ("sqrt(8) / sqrt(2)", "2"),
        ("sqrt(2) - sqrt(2)", "0"),
        ("sqrt(8) - 2*sqrt(2)", "0"),
        ("sqrt(2) + sqrt(8)", "sqrt(18)"),
        ("sqrt(2)", "sqrt(2)"),
        ("-sqrt(2)", "-sqrt(2)"),
        ("abs(-sqrt(2))", "sqrt(2)"),
        ("1 / sqrt(2)", "sqrt(1/2)"),
        ("(-sqrt(2))**3", "-sqrt(8)"),
        ("(-sqrt(2))**2", "2"),
        ("8**(1/3)", "2"),
        ("(8/27)**(2/3)", "4/9"),
        ("4**-0.5", "1/2"),
        ("2**(1/3) * 4**(1/3)", "2"),
        ("sqrt(sqrt(2))", "2**(1/4)"),
        ("sqrt(sqrt(2))**4", "2"),
        ("(2/3)**(1/3)", "(2/3)**(1/3)"),
        ("sqrt(2) * 3**(1/3)", "72**(1/6)"),
        ("(2**3000)**(1/3000)", "2"),
        ("1**0.123456789012345", "1"),
        ("0**0.5", "0"),
        ("0 * (sqrt(2) + 1)", "0"),
        ("0 / (sqrt(2) + 1)", "0"),
        ("0 + sqrt(2)", "sqrt(2)"),
        ("(sqrt(2) + 1)**0", "1"),
        ("sqrt(2) // 1", "1"),
        ("-sqrt(2) // 1", "-2"),
        ("round(sqrt(2), 2)", "141/100"),
        ("round(100 * sqrt(2), -1)", "140"),
        ("sqrt(2) % -1 // -1", "0"),
        ("sqrt(2) + 0", "sqrt(2)"),
        ("max(sqrt(2), 1.4, 3/2)", "3/2"),
        ("min(sqrt(3), sqrt(2))", "sqrt(2)"),
        ("max(sqrt(2), sqrt(2))", "sqrt(2)"),
    ],
)
def test_one_root_stays_exact(expression: str, exact: str) -> None:
    assert calculate(expression).exact == exact


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("sqrt(2) + 1", "2.414213562373095048801688724"),
        ("(sqrt(2) + 1) * (sqrt(2) - 1)", "1"),
        ("(1 - sqrt(2)) * (1 + sqrt(2))", "-1"),
        ("1 / (1 - sqrt(2))", "-2.414213562373095048801688724"),
        ("-1 / (1 - sqrt(2))", "2.414213562373095048801688724"),
        ("abs(1 - sqrt(2))", "0.4142135623730950488016887242"),
        ("abs(sqrt(2) - 1)", "0.4142135623730950488016887242"),
        ("(1 + sqrt(5)) / 2", "1.618033988749894848204586834"),
        ("sqrt(1 + sqrt(2))", "1.553773974030037307344158953"),
        ("(1 + sqrt(2))**-3", "0.07106781186547524400844362105"),
        ("sqrt(10**40 + 1) - 10**20", "5e-21"),
        ("max(sqrt(2) + 1, 1 + sqrt(2))", "2.414213562373095048801688724"),
        ("7 % sqrt(2)", "1.343145750507619804793245103"),
        ("2**0.123456789", "1.089341870348683144782017303"),
    ],
)
def test_other_irrational_values_show_right_digits_and_claim_nothing_more(
    expression: str, result: str
) -> None:
    assert calculate(expression) == Result(expression, result, exact=None, rounded=True)


def test_a_root_is_shown_rounded() -> None:
    assert calculate("sqrt(2)", 10) == Result("sqrt(2)", "1.414213562", "sqrt(2)", rounded=True)


def test_a_floor_that_needs_more_precision_than_shown_digits_is_exact() -> None:
    exact = calculate("sqrt(2 * 10**1000) // 1", 1).exact
    assert exact is not None
    root = int(exact)
    assert root**2 <= 2 * 10**1000 < (root + 1) ** 2


def test_a_root_may_be_rounded_to_a_thousand_places() -> None:
    nearest = math.isqrt(8 * 10**2000) + 1 >> 1
    assert calculate("round(sqrt(2), 1000) * 10**1000").exact == str(nearest)


def test_many_digits_may_be_asked_for() -> None:
    assert calculate("1/3", MAX_RESULT_DIGITS).result == "0." + "3" * MAX_RESULT_DIGITS


@pytest.mark.parametrize("digits", [0, -1, MAX_RESULT_DIGITS + 1])
def test_digits_out_of_range_are_the_callers_mistake(digits: int) -> None:
    with pytest.raises(ValueError, match="digits must be from 1 to 1,000"):
        calculate("1", digits)


@pytest.mark.parametrize(
    ("operation", "a", "b", "result"),
    [
        ("add", "0.1", "0.2", Result("0.1 + 0.2", "0.3", "3/10", rounded=False)),
        ("subtract", " -1 ", "-2e0", Result("-1 - -2e0", "1", "1", rounded=False)),
        ("multiply", "+.5", "4.", Result("+.5 * 4.", "2", "2", rounded=False)),
        ("divide", "-1", "3", Result("-1 / 3", "-0.3333", "-1/3", rounded=True)),
        (
            "add",
            "\u22121",
            "1e\u22121",
            Result("\u22121 + 1e\u22121", "-0.9", "-9/10", rounded=False),
        ),
    ],
)
def test_binary(operation: Operation, a: str, b: str, result: Result) -> None:
    assert binary(operation, a, b, digits=4) == result
