"""What other rules would have said of the same rounds.

Each gets what it would look at, as far as the rounds have it:

- `mean 5 %`: pytest-benchmark's `--benchmark-compare-fail=mean:5%`, one run beside one run: the
  mean of the first B by the mean of the first A.
- `asv`: a factor of 1.1 between the medians, and a Mann-Whitney U test below 0.002 on all values,
  as `asv continuous` has them by default. asv looks at repetitions; here its values are processes,
  which makes it more careful than it is.
- `2 %`: the medians of all rounds differ by more than that.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.gate.declaration import Metric
    from benchmarks.gate.rounds import Figures, Record

_MEAN, _FACTOR, _P, _THRESHOLD = 1.05, 1.1, 0.002, 1.02


def red(record: Record, metrics: Iterable[Metric]) -> dict[str, list[str]]:
    """By rule: the metrics that it would call slower."""
    found: dict[str, list[str]] = {rule: [] for rule in _RULES}
    for metric in metrics:
        figures = [r.figures[metric.name] for r in record.rounds if metric.name in r.figures]
        means = [r.means[metric.name] for r in record.rounds if metric.name in r.means]
        if not figures or not metric.primary:
            continue
        for rule, says in _RULES.items():
            of = means if rule == "mean 5 %" and means else figures
            base = [x for f in of for x in (f.A1, f.A2)]
            head = [x for f in of for x in (f.B1, f.B2)]
            if metric.more_is_better:
                base, head = [1 / x for x in base], [1 / x for x in head]
            if says(base, head):
                found[rule].append(metric.name)
    return found


def _mean(base: list[float], head: list[float]) -> bool:
    return head[0] / base[0] > _MEAN


def _asv(base: list[float], head: list[float]) -> bool:
    found = stats.mannwhitneyu(base, head)
    return median(head) > _FACTOR * median(base) and bool(found.pvalue < _P)


def _threshold(base: list[float], head: list[float]) -> bool:
    return median(head) / median(base) > _THRESHOLD


_RULES: dict[str, Callable[[list[float], list[float]], bool]] = {
    "mean 5 %": _mean,
    "asv": _asv,
    "2 %": _threshold,
}


def values(figures: Figures) -> tuple[float, float, float, float]:
    """A1, A2, B1, B2."""
    return figures.A1, figures.A2, figures.B1, figures.B2
