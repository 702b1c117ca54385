"""Every error that Windlass raises on purpose.

::

    AppError
    ├── FaultyInputError          an input with one fault or more, all of them listed
    │   ├── ConfigError           settings are wrong
    │   └── InvalidInputError     a request's body or parameters are wrong
    ├── MalformedBodyError        a request's body is not what its media type says
    ├── MediaTypeError            a request's body is of a media type that nobody here reads
    ├── BusyError                 too much is asked at once; try again later
    ├── CalculationError          an expression has no value; points at the character
    ├── DispatchError
    │   ├── InvalidProblemError   a plan request is malformed; a FaultyInputError too
    │   ├── InfeasibleLoadError   no plan meets the load; names the nearest that can be met
    │   ├── HardProblemError      a problem takes longer than a quick answer may
    │   └── UnprovenPlanError     the independent check refuses a plan: a fault of this software
    ├── StoreError
    │   └── StoreUnavailableError Redis does not answer in time
    ├── StackError                the stack cannot start, stop or be read
    └── ReleaseError              a release cannot be brought to its hosts, or back
        ├── CommandError          a program that was run failed, or took too long
        ├── RefusedError          a host says no, and why
        └── UnreachableError      a host cannot be spoken to

An error names the input that caused it and says what to do next. It knows nothing of HTTP or exit
codes: `app.web.problems` turns it into a status and `app.cli` into an exit code, one place each. It
passes to `Exception` just what it was made with, so that it crosses to another process whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class AppError(Exception):
    """The root of the tree: catch it to catch whatever Windlass raises on purpose."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input.

    Attributes:
        where: the setting's name, or the JSON pointer (RFC 6901) of the value.
        message: what is wrong and what is allowed, as a sentence without a full stop.
    """

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class FaultyInputError(AppError):
    """An input with one fault or more, all of them listed."""

    def __init__(self, summary: str, faults: Sequence[Fault]) -> None:
        self.summary = summary
        self.faults = tuple(faults)
        super().__init__(summary, self.faults)

    def __str__(self) -> str:
        return "\n".join([self.summary, *(f"  {fault}" for fault in self.faults)])


class ConfigError(FaultyInputError):
    """Settings are missing or wrong."""


class InvalidInputError(FaultyInputError):
    """A request's body or parameters are wrong; each fault carries a JSON pointer."""


class MalformedBodyError(AppError):
    """A request's body cannot be read; the message says where."""


class MediaTypeError(AppError):
    """A request's body is of a media type that the resource does not read."""


class CalculationError(AppError):
    """An expression cannot be calculated.

    Attributes:
        expression: the text as it was given.
        position: 0-based index of the character at fault, `len(expression)` for its end.
        reason: what is wrong there, as a sentence without a full stop.
    """

    def __init__(self, reason: str, expression: str, position: int) -> None:
        self.reason = reason
        self.expression = expression
        self.position = position
        super().__init__(reason, expression, position)

    def __str__(self) -> str:
        return f"{self.reason} (at character {self.position + 1})"


class DispatchError(AppError):
    """No production plan can be computed for a request."""


class InvalidProblemError(FaultyInputError, DispatchError):
    """A request for a production plan is malformed; each fault carries a JSON pointer."""


class InfeasibleLoadError(DispatchError):
    """No plan meets the load exactly.

    Attributes:
        load: the load asked for, in steps of 0.1 MW.
        below: the greatest load under it that can be met, in steps, or None.
        above: the least load over it that can be met, in steps, or None.
    """

    def __init__(self, load: int, below: int | None, above: int | None) -> None:
        self.load = load
        self.below = below
        self.above = above
        super().__init__(load, below, above)

    def __str__(self) -> str:
        known = [step for step in (self.below, self.above) if step is not None]
        nearest = " and ".join(f"{step / 10:.1f} MW" for step in known)
        return f"no plan meets a load of {self.load / 10:.1f} MW exactly; " + (
            f"the nearest that can be met: {nearest}" if nearest else "no plant can run"
        )


class HardProblemError(DispatchError):
    """A problem takes longer than its caller has time for."""


class UnprovenPlanError(DispatchError):
    """The independent check refused a plan that the solver made: a fault of this software."""


class BusyError(AppError):
    """Too much is asked at once; the same request may succeed in a moment."""


class StoreError(AppError):
    """Redis could not do what it was asked."""


class StoreUnavailableError(StoreError):
    """Redis does not answer, or not in time."""


class StackError(AppError):
    """The stack cannot start, stop or be read; the message says what to do next."""


class ReleaseError(AppError):
    """A release cannot be brought to its hosts, or back; the message says what to do next."""


class CommandError(ReleaseError):
    """A program that was run failed or took too long; carries the end of what it said."""


class RefusedError(ReleaseError):
    """A host says no.

    Attributes:
        code: one word for programs: fence, locked, busy, unfit, unapproved, unsigned, unhealthy,
            unknown.
        reason: a sentence for people, with what to do next.
    """

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(code, reason)

    def __str__(self) -> str:
        return self.reason


class UnreachableError(ReleaseError):
    """A host cannot be spoken to: no connection, another host key, or no answer in time."""
