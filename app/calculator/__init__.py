"""Text -> exact value: `calculate` an expression, or one `binary` operation on two numbers.

Owns the calculator's language, its arithmetic and its limits. Pure: standard library only, no I/O,
no float inside. Guarantees: `result` holds the right digits and `rounded` tells whether they are
all of them; `exact` is the value itself or None; any text whatsoever gives a result or a
`CalculationError` that points at a character, within milliseconds.

::

    tokens -> syntax -> evaluation -> rendering
                            |
                        arithmetic   Fraction | radical.Radical | enclosure.Enclosure
                            |
                          limits     sizes and the budget of work
"""

from app.calculator.calculation import DEFAULT_DIGITS, Operation, Result, binary, calculate
from app.calculator.limits import (
    MAX_EXPRESSION_LENGTH,
    MAX_OPERAND_LENGTH,
    MAX_RESULT_DIGITS,
    MAX_VALUE_DIGITS,
)
from app.calculator.tokens import FUNCTIONS

__all__ = [
    "DEFAULT_DIGITS",
    "FUNCTIONS",
    "MAX_EXPRESSION_LENGTH",
    "MAX_OPERAND_LENGTH",
    "MAX_RESULT_DIGITS",
    "MAX_VALUE_DIGITS",
    "Operation",
    "Result",
    "binary",
    "calculate",
]
