"""Tokens -> a program in postfix order, by operator precedence.

Owns the grammar: Python's precedence and associativity for `+ - * / // % **`, the two signs,
parentheses and the calls of functions; no multiplication without a `*`. The parser keeps the
operators that wait for an operand on a list, not on Python's stack, and so does whoever runs the
program: no nesting, however deep, can raise `RecursionError`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from app.calculator.tokens import Kind, Token, tokenise
from app.errors import CalculationError

NEGATE, KEEP_SIGN = "negate", "keep sign"

_SIGNS = {"-": NEGATE, "+": KEEP_SIGN}
_LEVELS = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2, NEGATE: 3, KEEP_SIGN: 3, "**": 4}
_RIGHT_ASSOCIATIVE = frozenset({"**"})
_GROUP = "("

_ARGUMENTS: dict[str, tuple[int, int | None]] = {
    "abs": (1, 1),
    "max": (1, None),
    "min": (1, None),
    "round": (1, 2),
    "sqrt": (1, 1),
}


@dataclass(frozen=True, slots=True)
class Literal:
    """Push a number.

    Attributes:
        text: the number as written, in ASCII.
        position: where it starts.
    """

    text: str
    position: int


@dataclass(frozen=True, slots=True)
class Apply:
    """Replace the last operands by the value of an operation on them.

    Attributes:
        operation: an operator, a sign (`NEGATE`, `KEEP_SIGN`) or a function's name.
        count: how many operands it takes.
        position: where the operator or the name starts.
    """

    operation: str
    count: int
    position: int


Step = Literal | Apply


def parse(expression: str) -> tuple[Step, ...]:
    """The steps that calculate an expression, operands before their operation.

    Raises:
        CalculationError: the text is not an expression; points at the first fault.
    """
    return _Parser(expression).program()


@dataclass(slots=True)
class _Waiting:
    """An operator, a parenthesis or a call whose operands are not all read.

    `name` is the operation, or `_GROUP` for a parenthesis that only groups; `commas` counts those
    seen in a call; `opened_at` is where its parenthesis is, None for an operator.
    """

    name: str
    position: int
    count: int = 0
    commas: int = 0
    opened_at: int | None = None


@dataclass(slots=True)
class _Parser:
    expression: str
    steps: list[Step] = field(default_factory=list)
    waiting: list[_Waiting] = field(default_factory=list)

    def program(self) -> tuple[Step, ...]:
        operand_due = True
        before: Token | None = None
        for token in tokenise(self.expression):
            if before is not None and before.kind is Kind.NAME:
                self._open_call(before, token)
            elif operand_due:
                operand_due = self._operand(token, before)
            else:
                operand_due = self._continuation(token)
            before = token
        return tuple(self.steps)

    def _operand(self, token: Token, before: Token | None) -> bool:
        """Read a token where an operand starts; whether one is still due after it."""
        match token.kind:
            case Kind.NUMBER:
                self.steps.append(Literal(token.text, token.position))
                return False
            case Kind.OPEN:
                self.waiting.append(_Waiting(_GROUP, token.position, opened_at=token.position))
            case Kind.OPERATOR if token.text in _SIGNS:
                # A sign takes no operand from its left, so nothing that waits is complete yet.
                self.waiting.append(_Waiting(_SIGNS[token.text], token.position, count=1))
            case Kind.CLOSE if self.waiting and before is not None and before.kind is Kind.OPEN:
                self._close_empty(token)
                return False
            case Kind.NAME:
                pass  # the parenthesis of the call comes next
            case _:
                raise self._error(_missing_operand(token, before), token.position)
        return True

    def _continuation(self, token: Token) -> bool:
        """Read a token after a complete operand; whether another operand is due after it."""
        match token.kind:
            case Kind.OPERATOR:
                self._apply_waiting(token.text)
                self.waiting.append(_Waiting(token.text, token.position, count=2))
                return True
            case Kind.COMMA:
                self._comma(token)
                return True
            case Kind.CLOSE:
                self._close(token)
            case Kind.END:
                self._finish()
            case _:
                reason = "an operator is missing here: multiplication is written with *"
                raise self._error(reason, token.position)
        return False

    def _open_call(self, name: Token, token: Token) -> None:
        if token.kind is not Kind.OPEN:
            reason = f"{name.text} takes its arguments in parentheses: {name.text}(...)"
            raise self._error(reason, name.position)
        self.waiting.append(_Waiting(name.text, name.position, opened_at=token.position))

    def _comma(self, token: Token) -> None:
        self._apply_waiting()
        if not self.waiting or self.waiting[-1].name == _GROUP:
            reason = (
                "a comma only separates the arguments of a function: "
                "write a decimal point as a full stop"
            )
            raise self._error(reason, token.position)
        self.waiting[-1].commas += 1

    def _close(self, token: Token) -> None:
        self._apply_waiting()
        if not self.waiting:
            raise self._error("this parenthesis was never opened", token.position)
        opened = self.waiting.pop()
        if opened.name != _GROUP:
            self._call(opened, opened.commas + 1)

    def _close_empty(self, token: Token) -> None:
        opened = self.waiting.pop()
        if opened.name == _GROUP:
            raise self._error("these parentheses are empty", token.position)
        self._call(opened, 0)

    def _call(self, call: _Waiting, count: int) -> None:
        least, most = _ARGUMENTS[call.name]
        if count < least or (most is not None and count > most):
            reason = f"{call.name} takes {_arguments(least, most)}, not {count}"
            raise self._error(reason, call.position)
        self.steps.append(Apply(call.name, count, call.position))

    def _finish(self) -> None:
        self._apply_waiting()
        if self.waiting and self.waiting[-1].opened_at is not None:
            raise self._error("this parenthesis is never closed", self.waiting[-1].opened_at)

    def _apply_waiting(self, before: str | None = None) -> None:
        """Emit the operators that bind before the one to come, or all since the parenthesis."""
        while self.waiting and self.waiting[-1].opened_at is None:
            operator = self.waiting[-1]
            if before is not None and not _binds_first(operator.name, before):
                return
            self.waiting.pop()
            self.steps.append(Apply(operator.name, operator.count, operator.position))

    def _error(self, reason: str, position: int) -> CalculationError:
        return CalculationError(reason, self.expression, position)


def _binds_first(left: str, right: str) -> bool:
    if _LEVELS[left] == _LEVELS[right]:
        return right not in _RIGHT_ASSOCIATIVE
    return _LEVELS[left] > _LEVELS[right]


def _missing_operand(token: Token, before: Token | None) -> str:
    if token.kind is Kind.CLOSE and before is None:
        return "this parenthesis was never opened"
    if token.kind is Kind.END and before is not None:
        return f"the expression ends where a number is due, after '{before.text}'"
    return f"a number is missing before '{token.text}'"


def _arguments(least: int, most: int | None) -> str:
    if most is None:
        return f"at least {least} argument"
    if least == most:
        return f"{least} argument"
    return f"{least} or {most} arguments"
