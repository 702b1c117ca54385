"""How the risk of a false alarm is spent: over the metrics, and over the planned looks.

A whole gate may call something slower that is not, with at most `FALSE_ALARM` in all: for as many
metrics as there are, and for both looks together. Each look has a share of it that was fixed
beforehand, so the sum bounds the risk whatever the looks have in common; within a look Holm's
procedure holds it for all metrics, however they depend on each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

Name = TypeVar("Name", bound="Hashable")
FALSE_ALARM = 0.02
"""The most probability of any false alarm in a whole gate."""
MISS = 0.05
"""The most probability that the interval of one metric does not hold the true ratio."""


@dataclass(frozen=True, slots=True)
class Look:
    """One of the times at which rounds are judged.

    Attributes:
        rounds: how many there are by then.
        share: of both risks that this look may spend.
    """

    rounds: int
    share: float

    @property
    def false_alarm(self) -> float:
        """Level of all tests of this look together."""
        return FALSE_ALARM * self.share

    @property
    def limit_level(self) -> float:
        """Level of one limit of an interval, of the two that it has."""
        return MISS * self.share / 2


FULL = (Look(12, 0.5), Look(20, 0.5))
"""Twelve rounds, and a second look at twenty where the first leaves something open."""
QUICK = (Look(10, 1.0),)


def strictest_level(look: Look, metrics: int) -> float:
    """The level that the first of so many metrics has to reach by Holm's procedure."""
    return look.false_alarm / max(1, metrics)


def holm(p_values: Mapping[Name, float], level: float) -> set[Name]:
    """The hypotheses that are rejected, with at most `level` that any of them is true.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    rejected: set[Name] = set()
    for place, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        if p_values[name] > level / (len(p_values) - place):
            break
        rejected.add(name)
    return rejected
