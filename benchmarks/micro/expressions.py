"""The calculator: expressions short and long, exact and rounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.calculator import calculate
from benchmarks.micro.work import expect

if TYPE_CHECKING:
    from benchmarks.micro.work import Work

_EXPECTED = {
    "0.1 + 0.2": "0.3",
    "1/3 + 1/6": "0.5",
    "(1 + 2) * 3 - 4 / 8": "8.5",
    "sqrt(2) * sqrt(8)": "4",
    "max(1, 2, 3) ** 10 % 1000": "49",
    "2 ** 100 // 3 ** 20": "363558641556578823726",
    " + ".join(str(number) for number in range(1, 41)): "820",
}


def make() -> Work:
    """Calculate each once."""

    def work() -> None:
        for expression in _EXPECTED:
            calculate(expression)

    for expression, result in _EXPECTED.items():
        found = calculate(expression).result
        expect(found == result, f"{expression} gave {found}")
    return work
