"""What Windlass is meant to reach beside its peers, and whether it did.

A goal that is missed is said and changes no exit code: it is a finding, not a fault of the run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.report import Section, Table

if TYPE_CHECKING:
    from benchmarks.pairs import Ratio


@dataclass(frozen=True, slots=True)
class Goal:
    """One thing that was wanted.

    Attributes:
        what: is compared.
        wanted: in words.
        measured: in words.
        reached: whether the figure itself, not its interval, is at the goal or beyond; None where
            what was measured cannot tell.
    """

    what: str
    wanted: str
    measured: str
    reached: bool | None


class Part(NamedTuple):
    """What a part of the benchmark found."""

    section: Section
    goals: list[Goal]


def at_least(what: str, wanted: float, found: Ratio, peer: str, aim: float | None = None) -> Goal:
    """A ratio that should be as great as this, of Windlass to its best peer."""
    words = f"at least {wanted:g}" + (f", aim {aim:g}" if aim else "")
    return Goal(what, words, f"{found}, best peer: {peer}", found.value >= wanted)


def at_most(what: str, wanted: float, found: Ratio, peer: str) -> Goal:
    """A ratio that should be as small as this, of Windlass to its best peer."""
    return Goal(what, f"at most {wanted:g}", f"{found}, best peer: {peer}", found.value <= wanted)


def untold(goal: Goal, why: str) -> Goal:
    """A goal of which the measurement cannot tell whether it was reached."""
    return replace(goal, measured=f"{goal.measured}; {why}", reached=None)


_VERDICTS = {True: "yes", False: "no", None: "cannot tell"}


def section(goals: list[Goal]) -> Section:
    """The goals as the first section of the report."""
    rows = [(g.what, g.wanted, g.measured, _VERDICTS[g.reached]) for g in goals]
    reached = sum(goal.reached is True for goal in goals)
    notes = [f"Reached: {reached} of {len(goals)}. Ratios are Windlass to the best peer."]
    columns = ("what", "wanted", "measured", "reached")
    return Section("goals", "What was wanted", notes, [Table(columns, rows, words=4)], goals)
