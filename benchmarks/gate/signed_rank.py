"""Wilcoxon's signed-rank test, exact, with the estimate and the limits that belong to it.

Everything rests on the Walsh averages, the means of all pairs of rounds (each with itself as well):
their median is the Hodges-Lehmann estimate, and how many of them are at most `delta` is the
statistic of the test of "more than delta". So a test at a level rejects exactly when the lower
limit at that level lies above `delta`.

Valid where each round's difference is symmetric about the true one, which the random order of a
round's arms brings about. Ties and zeros count against the claim, which keeps the test exact or
cautious and never bold. Source: Hollander, Wolfe, Chicken: Nonparametric Statistical Methods,
sections 3.1 to 3.3.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def p_more_than(differences: Sequence[float] | Floats, delta: float) -> float:
    """Probability of rounds that speak so much for "more than delta", were it not so.

    Args:
        differences: one for each round.
        delta: in the same unit.

    Raises:
        ValueError: there are no rounds.
    """
    shifted = np.asarray(differences, dtype=float) - delta
    if not len(shifted):
        raise ValueError("a test takes at least one round")
    found = stats.wilcoxon(_signed_ranks(shifted), alternative="greater", method="exact")
    return float(found.pvalue)


def _signed_ranks(shifted: Floats) -> Floats:
    """Ranks of the absolute values with their signs, all different.

    Of equal absolute values the negative get the higher ranks, and zero is negative.
    """
    negative = shifted <= 0
    order = np.lexsort((negative, np.abs(shifted)))
    ranks = np.empty(len(shifted))
    ranks[order] = np.arange(1, len(shifted) + 1)
    return np.where(negative, -ranks, ranks)


def estimate(differences: Sequence[float] | Floats) -> float:
    """The Hodges-Lehmann estimate: the median of the Walsh averages."""
    return float(np.median(walsh_averages(np.asarray(differences, dtype=float))))


def lower_limit(differences: Sequence[float] | Floats, level: float) -> float:
    """The true difference lies below this with a probability of at most `level`.

    Returns:
        The limit; minus infinity where there are too few rounds for any.
    """
    averages = np.sort(walsh_averages(np.asarray(differences, dtype=float)))
    most = most_at_or_below(len(differences), level)
    return float(averages[most]) if most >= 0 else -np.inf


def upper_limit(differences: Sequence[float] | Floats, level: float) -> float:
    """The true difference lies above this with a probability of at most `level`."""
    return -lower_limit(-np.asarray(differences, dtype=float), level)


def walsh_averages(differences: Floats) -> Floats:
    """The means of all pairs of rounds, over the last axis; shape (..., n (n + 1) / 2)."""
    first, second = np.triu_indices(differences.shape[-1])
    averages: Floats = (differences[..., first] + differences[..., second]) / 2
    return averages


def rejects(differences: Floats, delta: float, level: float) -> NDArray[np.bool_]:
    """Whether each of many sets of rounds speaks for "more than delta" at a level.

    The same decision as by `p_more_than`, for simulations.

    Args:
        differences: of shape (sets, rounds).
        delta: in the same unit.
        level: of the test.
    """
    most = most_at_or_below(differences.shape[-1], level)
    below: NDArray[np.intp] = np.sum(walsh_averages(differences) <= delta, axis=-1)
    return below <= most


@lru_cache(maxsize=512)
def most_at_or_below(rounds: int, level: float) -> int:
    """How many Walsh averages may be at or below `delta` for the test to reject; -1 for never."""
    return int(np.searchsorted(_cumulative(rounds), level, side="right")) - 1


@lru_cache(maxsize=64)
def _cumulative(rounds: int) -> Floats:
    """P(statistic <= k) for each k, where each rank is positive or negative by a fair coin."""
    ways = np.ones(1)
    for rank in range(1, rounds + 1):
        longer = np.zeros(len(ways) + rank)
        longer[: len(ways)] += ways
        longer[rank:] += ways
        ways = longer
    cumulative: Floats = np.cumsum(ways) / 2.0**rounds
    return cumulative
