"""What was measured: rounds of four arms, as plain data that can be kept and judged again.

The base is A and the head is B; 1 is the earlier of a round and 2 the later. A figure is seconds of
CPU, seconds of latency, or requests per second.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

ArmName = Literal["A1", "A2", "B1", "B2"]
ARMS: tuple[ArmName, ...] = ("A1", "A2", "B1", "B2")
Order = Literal["ABBA", "BAAB"]


_Positive = Annotated[float, msgspec.Meta(gt=0)]


class Figures(msgspec.Struct, frozen=True, array_like=True):
    """One metric in the four arms of a round."""

    A1: _Positive
    A2: _Positive
    B1: _Positive
    B2: _Positive


class Round(msgspec.Struct, frozen=True):
    """One round.

    Attributes:
        order: of its arms.
        hash_seed: of every process of the round.
        padding: bytes that were added to the environment of every process.
        seconds: that it took.
        figures: by metric; a metric that failed in any arm is not there.
        means: by metric: what a rule that looks at means would see, where that is another figure.
    """

    order: Order
    hash_seed: int
    padding: int
    seconds: float
    figures: dict[str, Figures]
    means: dict[str, Figures] = {}


class Failure(msgspec.Struct, frozen=True):
    """What could not be measured.

    Attributes:
        benchmark: its name.
        arm: the revision that failed: "base" or "head".
        reason: a sentence.
    """

    benchmark: str
    arm: Literal["base", "head"]
    reason: str


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """All that a gate measured.

    Attributes:
        base: commit of A.
        head: commit of B.
        quick: whether the short form was asked for.
        rounds: in the order in which they were measured.
        failures: what could not be measured, each once.
        new: benchmarks that the base does not have and cannot run.
        missing: benchmarks that the base has and the head has not, and metrics that decide on the
            base alone.
        altered: files that the change has of what measures and judges it.
        environments_differ: whether base and head ran in environments of their own.
        notes: sentences on what the measurement met.
    """

    base: str
    head: str
    quick: bool
    rounds: list[Round]
    failures: list[Failure] = []
    new: list[str] = []
    missing: list[str] = []
    altered: list[str] = []
    environments_differ: bool = False
    notes: list[str] = []


ONE_PAIR = math.sqrt(2)
"""How much wider one pair of arms spreads than a round's difference, which averages over two."""


def differences(rounds: Iterable[Round], metric: str, *, more_is_better: bool) -> list[float]:
    """The logarithm of head by base for each round that has the metric; above 0 is slower."""
    sign = -1.0 if more_is_better else 1.0
    return [
        sign * (_log(f.B1) + _log(f.B2) - _log(f.A1) - _log(f.A2)) / 2
        for f in _figures(rounds, metric)
    ]


def same_revision(
    rounds: Iterable[Round], metric: str, arm: Literal["A", "B"], *, more_is_better: bool
) -> list[float]:
    """The logarithm of the later by the earlier arm of one revision, for each round.

    It is scaled by `ONE_PAIR` to the spread of `differences`.
    """
    sign = -1.0 if more_is_better else 1.0
    pairs = [(f.A1, f.A2) if arm == "A" else (f.B1, f.B2) for f in _figures(rounds, metric)]
    return [sign * (_log(later) - _log(earlier)) / ONE_PAIR for earlier, later in pairs]


def _figures(rounds: Iterable[Round], metric: str) -> list[Figures]:
    return [each.figures[metric] for each in rounds if metric in each.figures]


def _log(figure: float) -> float:
    return math.log(figure)
