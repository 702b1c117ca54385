"""Does the experiment find differences where there are none?

Two kinds of comparison have a known answer. The earlier and the later arm of one revision (A1 with
A2, B1 with B2) run the same code; a control runs no code of the product in either revision. Both
go through the test that slowdowns go through, in both directions. A metric whose one revision
differs from itself is distrusted from that look on; a control that differs makes the whole run
invalid, or, where the environments differ as well, is what they differ by.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from benchmarks.gate import signed_rank
from benchmarks.gate.declaration import CONTROL_SHARE
from benchmarks.gate.looks import holm
from benchmarks.gate.rounds import ONE_PAIR, differences, same_revision

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.gate.declaration import Metric
    from benchmarks.gate.looks import Look
    from benchmarks.gate.rounds import Round

Revision = Literal["A", "B"]
REVISIONS = 2
_DIRECTIONS = (1.0, -1.0)


@dataclass(frozen=True, slots=True)
class Movement:
    """A difference between equals.

    Attributes:
        compared: "A", "B", or "A with B" of a control.
        estimate: of the ratio of the latter to the former, a logarithm; above 0 is slower.
        rounds: of the look that found it first.
    """

    metric: Metric
    compared: str
    estimate: float
    rounds: int


def moved(
    rounds: Sequence[Round], metrics: Iterable[Metric], looks: Iterable[Look]
) -> list[Movement]:
    """Metrics of which one revision differs from itself, by more than delta times `ONE_PAIR`."""
    compared: dict[tuple[str, str], tuple[Metric, list[float], float]] = {}
    revisions: tuple[Revision, ...] = ("A", "B")
    for metric in metrics:
        for arm in revisions:
            of = same_revision(rounds, metric.name, arm, more_is_better=metric.more_is_better)
            compared[metric.name, arm] = (metric, of, metric.delta)
    return [
        replace(each, estimate=each.estimate * ONE_PAIR) for each in _movements(compared, looks)
    ]


def controls(
    rounds: Sequence[Round], metrics: Iterable[Metric], looks: Iterable[Look]
) -> list[Movement]:
    """Controls that differ between base and head by more than they may."""
    compared = {
        (metric.name, "A with B"): (
            metric,
            differences(rounds, metric.name, more_is_better=metric.more_is_better),
            metric.delta * CONTROL_SHARE,
        )
        for metric in metrics
        if metric.benchmark.control
    }
    return _movements(compared, looks)


def _movements(
    compared: Mapping[tuple[str, str], tuple[Metric, list[float], float]], looks: Iterable[Look]
) -> list[Movement]:
    found: dict[tuple[str, str], Movement] = {}
    for look in looks:
        p_values = {
            (*key, sign): signed_rank.p_more_than([sign * d for d in of[: look.rounds]], delta)
            for key, (_, of, delta) in compared.items()
            for sign in _DIRECTIONS
            if len(of) >= look.rounds
        }
        for name, what, _sign in holm(p_values, look.false_alarm):
            metric, of, _ = compared[name, what]
            estimate = signed_rank.estimate(of[: look.rounds])
            found.setdefault((name, what), Movement(metric, what, estimate, look.rounds))
    return list(found.values())
