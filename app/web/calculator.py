"""`/calculator`: a page whose form works without JavaScript, and the same by JSON."""

from __future__ import annotations

from typing import Annotated, NamedTuple, cast
from urllib.parse import urlencode

import msgspec

from app import calculator, payload
from app.calculator import DEFAULT_DIGITS, FUNCTIONS, MAX_RESULT_DIGITS, Operation, Result
from app.errors import CalculationError, Fault, InvalidInputError
from app.web.handler import AppHandler
from app.web.negotiation import FORM, JSON, media_type

Digits = Annotated[int, msgspec.Meta(ge=1, le=MAX_RESULT_DIGITS)]


class Sample(NamedTuple):
    """An expression to begin with, and the address of its page."""

    expression: str
    address: str


_SAMPLES = [
    Sample(text, f"/calculator?{urlencode({'expression': text, 'digits': DEFAULT_DIGITS})}")
    for text in ("0.1 + 0.2", "1/3 + 1/6", "sqrt(2) * sqrt(8)", "2**200", "round(2.5) / 3")
]


class Calculation(msgspec.Struct):
    """A request: an expression, and how many significant digits of its value to show."""

    expression: str
    digits: Digits = DEFAULT_DIGITS


class CalculatorHandler(AppHandler):
    """`GET` shows the page, with the result where an expression is given; `POST` calculates."""

    def get(self) -> None:
        """Show the form; with `?expression=`, calculate."""
        expression = self.get_query_argument("expression", "", strip=False)
        digits = self.get_query_argument("digits", None)
        if self.prefers_html() or not (expression or digits is not None):
            self._show(expression, digits)
        else:
            self.finish_json(_calculate(_from_texts(expression, digits)))

    def post(self) -> None:
        """Calculate the expression of a JSON body, or of a form."""
        if media_type(self.request, JSON, FORM) == JSON:
            self.finish_json(_calculate(payload.decode(self.request.body, Calculation)))
            return
        expression = self.get_body_argument("expression", "", strip=False)
        digits = self.get_body_argument("digits", None)
        if self.prefers_html():
            self._show(expression, digits)
        else:
            self.finish_json(_calculate(_from_texts(expression, digits)))

    def _show(self, expression: str, digits: str | None) -> None:
        """Render the page; a fault is shown beside the form that has it, with its status."""
        result: Result | None = None
        error = ""
        position: int | None = None
        if expression or digits is not None:
            try:
                request = _from_texts(expression, digits)
                result = _calculate(request) if expression else None
            except CalculationError as raised:
                error, position = str(raised), raised.position
            except InvalidInputError as raised:
                error = "; ".join(f"{f.where.strip('/')} {f.message}" for f in raised.faults)
            if error:
                self.set_status(422)
        self.render(
            "calculator.html",
            expression=expression,
            digits=DEFAULT_DIGITS if digits is None else digits,
            max_digits=MAX_RESULT_DIGITS,
            result=result,
            error=error,
            position=position,
            functions=sorted(FUNCTIONS),
            samples=_SAMPLES,
        )


class OperationHandler(AppHandler):
    """`GET /calculator/{add,subtract,multiply,divide}?a=..&b=..`."""

    def get(self, operation: str) -> None:
        """Calculate one operation on two numbers."""
        numbers = {name: self.get_query_argument(name, "") for name in ("a", "b")}
        missing = [Fault(f"/{name}", "is missing") for name, text in numbers.items() if not text]
        if missing:
            raise InvalidInputError("Give two numbers, as in ?a=1&b=2", missing)
        digits = self.get_query_argument("digits", None)
        request = _from_texts("", digits)
        self.finish_json(
            calculator.binary(
                cast("Operation", operation), numbers["a"], numbers["b"], request.digits
            )
        )


def _from_texts(expression: str, digits: str | None) -> Calculation:
    """A request whose parts came as text, from a form or a query; None: it was not given."""
    try:
        return msgspec.convert(
            {"expression": expression, "digits": DEFAULT_DIGITS if digits is None else digits},
            Calculation,
            strict=False,
        )
    except msgspec.ValidationError as error:
        allowed = f"must be a whole number from 1 to {MAX_RESULT_DIGITS}"
        raise InvalidInputError("The request is not valid", [Fault("/digits", allowed)]) from error


def _calculate(request: Calculation) -> Result:
    return calculator.calculate(request.expression, request.digits)
