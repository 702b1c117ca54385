"""The pieces of work by name: the names of `declared.toml` without their kind."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Work = Callable[[], object]

_ROUND_S = 0.001
WARM_UP_ROUNDS = 2
SWEEPS = 10
"""How often a process comes back to each piece, in turns with the other processes of a round. What
slows a CPU by half for a moment, up to some tenths of a second, often outlasts all rounds of one
piece, and seldom the time of all sweeps; what lasts for seconds meets all processes."""


class WrongResultError(Exception):
    """The work gave something else than it should."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Where a piece of work is made.

    Attributes:
        module: imported when it is needed, so that one that does not fit the product's interface
            any more takes no other with it.
        function: makes the work.
        about_s: CPU time of one repetition on a machine of our days; decides how many make a round.
    """

    module: str
    function: str
    about_s: float

    @property
    def repetitions(self) -> int:
        """How many make a round.

        The number is fixed beforehand and not found by measuring, so that both revisions do the
        same work. Rounds are as short as can be read well: what disturbs a process comes in bursts,
        and the shorter a round is, the more of them lie between two.
        """
        return max(1, round(_ROUND_S / self.about_s))


PIECES = {
    "control": Piece("benchmarks.micro.control", "make", 180e-6),
    "routing": Piece("benchmarks.micro.web", "routing", 100e-6),
    "rendering": Piece("benchmarks.micro.web", "rendering", 15e-6),
    "json": Piece("benchmarks.micro.plans", "payloads", 100e-6),
    "calculator": Piece("benchmarks.micro.expressions", "make", 1100e-6),
    "dispatch": Piece("benchmarks.micro.plans", "dispatching", 300e-6),
    "pipelining": Piece("benchmarks.micro.pipelining", "make", 50e-6),
    "parse": Piece("benchmarks.micro.engine", "parse", 250e-6),
    "respond": Piece("benchmarks.micro.engine", "respond", 700e-6),
}


def rounds_of(seconds: float) -> int:
    """How many rounds of one sweep, if all sweeps take about so much CPU time."""
    return max(1, round(seconds / SWEEPS / _ROUND_S))


def make(name: str) -> Work:
    """Make a piece of work; calling it does the work once.

    Raises:
        Exception: whatever the product raises where its interface is another.
    """
    piece = PIECES[name]
    work: Work = getattr(import_module(piece.module), piece.function)()
    return work


def expect(condition: bool, what: str) -> None:  # noqa: FBT001 - reads as an assertion
    """See that a result is right.

    Raises:
        WrongResultError: it is not.
    """
    if not condition:
        raise WrongResultError(what)
