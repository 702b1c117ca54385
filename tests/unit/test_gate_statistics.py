"""The gate's statistics: exact where they claim it, and wrong as seldom as they say.

The simulations are seeded. Each has a rule beside it that breaks the promise, so that the
simulation is known to notice.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks.gate import looks
from benchmarks.gate.looks import FALSE_ALARM, FULL, MISS, QUICK, holm, strictest_level
from benchmarks.gate.resolution import POWER, resolution
from benchmarks.gate.signed_rank import (
    estimate,
    lower_limit,
    most_at_or_below,
    p_more_than,
    rejects,
    upper_limit,
    walsh_averages,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

METRICS = 23
DELTA = math.log(1.03)
small = st.integers(-40, 40).map(lambda n: n / 8)
samples = st.lists(small, min_size=1, max_size=9)
levels = st.sampled_from([0.0004, 0.002, 0.01, 0.025, 0.05, 0.2])


# ---- the test


def by_counting(differences: list[float], delta: float) -> float:
    """The share of all signs under which as much speaks for "more than delta".

    Ranks are those of the absolute values; of equal ones the positive get the lower.
    """
    shifted = sorted((abs(d - delta), d - delta <= 0) for d in differences)
    ranks = range(1, len(shifted) + 1)
    observed = sum(rank for rank, (_, negative) in zip(ranks, shifted, strict=True) if negative)
    hits = sum(
        sum(itertools.compress(ranks, signs)) <= observed
        for signs in itertools.product([False, True], repeat=len(shifted))
    )
    return hits / 2.0 ** len(shifted)


@given(samples, small)
@settings(deadline=None)
def test_p_is_the_share_of_all_signs(differences: list[float], delta: float) -> None:
    assert p_more_than(differences, delta) == pytest.approx(by_counting(differences, delta))


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20, unique_by=abs), st.just(0.0))
@settings(deadline=None)
def test_p_without_ties_is_scipys(differences: list[float], delta: float) -> None:
    if 0.0 in differences:
        differences.remove(0.0)
    if differences:
        found = stats.wilcoxon(differences, alternative="greater", method="exact").pvalue
        assert p_more_than(differences, delta) == pytest.approx(found)


@given(samples, small, levels)
@settings(deadline=None)
def test_test_limits_and_simulated_test_agree(
    differences: list[float], delta: float, level: float
) -> None:
    is_slower = p_more_than(differences, delta) <= level
    assert (lower_limit(differences, level) > delta) == is_slower
    assert bool(rejects(np.array([differences]), delta, level)[0]) == is_slower


@given(samples, small, st.floats(0.1, 10))
@settings(deadline=None)
def test_estimate_and_limits_move_with_the_rounds(
    differences: list[float], shift: float, scale: float
) -> None:
    moved = [scale * d + shift for d in differences]
    assert estimate(moved) == pytest.approx(scale * estimate(differences) + shift)
    low = lower_limit(differences, 0.2)
    assert lower_limit(moved, 0.2) == pytest.approx(scale * low + shift)
    assert upper_limit(moved, 0.2) == -lower_limit([-d for d in moved], 0.2)


def test_estimate_is_the_median_of_all_means_of_pairs() -> None:
    assert sorted(walsh_averages(np.array([1.0, 3.0, 8.0]))) == [1, 2, 3, 4.5, 5.5, 8]
    assert estimate([1.0, 3.0, 8.0]) == 3.75


def test_one_outlier_does_not_carry_the_estimate_away() -> None:
    assert abs(estimate([0.0] * 11 + [50.0])) < 0.01


def test_rounds_that_all_equal_delta_do_not_exceed_it() -> None:
    assert p_more_than([DELTA] * 12, DELTA) == 1.0


def test_too_few_rounds_limit_nothing() -> None:
    assert lower_limit([0.1] * 4, 0.01) == -math.inf
    assert upper_limit([0.1] * 4, 0.01) == math.inf
    assert most_at_or_below(4, 0.01) == -1
    with pytest.raises(ValueError, match="at least one round"):
        p_more_than([], 0.0)


# ---- many metrics


def test_holm_compares_each_with_what_is_left() -> None:
    p_values = {"a": 0.01, "b": 0.02, "c": 0.03, "d": 0.9}
    assert holm(p_values, 0.05) == {"a"}
    assert holm({"a": 0.01, "b": 0.016, "c": 0.024, "d": 0.9}, 0.05) == {"a", "b", "c"}
    assert holm({"a": 0.02, "b": 0.001}, 0.05) == {"a", "b"}
    assert holm({}, 0.05) == set()


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=12), st.floats(0.001, 0.2))
def test_holm_stands_between_bonferroni_and_no_correction(
    p_values: dict[str, float], level: float
) -> None:
    found = holm(p_values, level)
    assert {name for name, p in p_values.items() if p <= level / len(p_values)} <= found
    assert found <= {name for name, p in p_values.items() if p <= level}


@pytest.mark.parametrize("planned", [FULL, QUICK])
def test_looks_spend_the_whole_risk_and_no_more(planned: tuple[looks.Look, ...]) -> None:
    assert sum(look.false_alarm for look in planned) == pytest.approx(FALSE_ALARM)
    assert sum(2 * look.limit_level for look in planned) == pytest.approx(MISS)


def test_first_look_can_find_something_at_all() -> None:
    assert most_at_or_below(FULL[0].rounds, strictest_level(FULL[0], METRICS)) >= 0


# ---- error rates, simulated


def noise(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> Floats:
    """Symmetric noise of about three per cent."""
    if kind == "normal":
        return rng.normal(0, 0.03, shape)
    if kind == "heavy tails":
        return 0.02 * rng.standard_t(2, shape)
    bursts = (rng.random(shape) < 0.15) * rng.choice([-0.3, 0.3], shape)
    found: Floats = rng.normal(0, 0.01, shape) + bursts
    return found


def gates_with_an_alarm(
    differences: Floats, planned: tuple[looks.Look, ...], level: Callable[[looks.Look], float]
) -> Floats:
    """Which gates call any metric slower; differences of shape (gates, metrics, rounds).

    Holm's procedure rejects something exactly when the least p passes the strictest level.
    """
    alarms = np.zeros(len(differences), dtype=bool)
    for look in planned:
        seen = differences[..., : look.rounds].reshape(-1, look.rounds)
        found = rejects(seen, DELTA, level(look)).reshape(differences.shape[:2])
        alarms |= found.any(axis=1)
    return alarms.astype(float)


def simulated(kind: str, true: float, gates: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    return true + noise(rng, kind, (gates, METRICS, FULL[-1].rounds))


@pytest.mark.parametrize("kind", ["normal", "heavy tails", "bursts"])
def test_whole_gate_keeps_its_risk_where_every_metric_is_at_the_limit(kind: str) -> None:
    differences = simulated(kind, DELTA, gates=1500, seed=1)
    found = gates_with_an_alarm(
        differences, FULL, lambda look: strictest_level(look, METRICS)
    ).sum()
    # More than this many has a probability below one in a thousand, if the risk is kept.
    assert found <= stats.binom.ppf(0.999, len(differences), FALSE_ALARM)
    careless = gates_with_an_alarm(differences, FULL, lambda look: look.false_alarm).mean()
    assert careless > 5 * FALSE_ALARM, "the simulation would not notice a missing correction"


def test_second_look_that_costs_nothing_would_break_the_promise() -> None:
    """Why each look has a share of its own: ever more looks at the full level find ever more."""
    rng = np.random.default_rng(2)
    differences = DELTA + rng.normal(0, 0.03, (20_000, 1, 20))
    free = tuple(looks.Look(rounds, 1.0) for rounds in (12, 14, 16, 18, 20))
    often = gates_with_an_alarm(differences, free, lambda look: look.false_alarm).mean()
    honest = gates_with_an_alarm(differences, FULL, lambda look: look.false_alarm).mean()
    assert honest <= FALSE_ALARM
    assert often > 1.3 * FALSE_ALARM


def test_equal_revisions_are_hardly_ever_called_slower() -> None:
    differences = simulated("normal", 0.0, gates=600, seed=3)
    found = gates_with_an_alarm(differences, FULL, lambda look: strictest_level(look, METRICS))
    assert found.sum() == 0


def test_ten_per_cent_are_found_in_usual_noise() -> None:
    rng = np.random.default_rng(4)
    differences = math.log(1.10) + rng.normal(0, 0.02, (500, 1, 20))
    found = gates_with_an_alarm(differences, FULL, lambda look: strictest_level(look, METRICS))
    assert found.mean() > 0.99


@pytest.mark.parametrize("kind", ["normal", "heavy tails", "bursts"])
def test_intervals_of_both_looks_hold_the_truth(kind: str) -> None:
    rng = np.random.default_rng(5)
    differences = noise(rng, kind, (3000, FULL[-1].rounds))
    missed = np.zeros(len(differences), dtype=bool)
    for look in FULL:
        seen = differences[:, : look.rounds]
        missed |= rejects(seen, 0.0, look.limit_level) | rejects(-seen, 0.0, look.limit_level)
    assert missed.sum() <= stats.binom.ppf(0.999, len(differences), MISS)
    assert missed.mean() > MISS / 10, "intervals that are never wrong say nothing"


# ---- what could have been seen


@pytest.mark.parametrize("spread", [0.005, 0.02, 0.08])
def test_slowdowns_of_the_stated_resolution_are_found_as_often_as_stated(spread: float) -> None:
    rng = np.random.default_rng(6)
    level = strictest_level(FULL[1], METRICS)
    powers = []
    for _ in range(20):
        seen = resolution(list(rng.normal(0, spread, 20)), 20, DELTA, level)
        fresh = seen + rng.normal(0, spread, (400, 20))
        powers.append(rejects(fresh, DELTA, level).mean())
    assert POWER - 0.12 < np.mean(powers) < POWER + 0.08


def test_resolution_looks_at_the_spread_and_not_at_the_effect() -> None:
    rounds = list(np.random.default_rng(7).normal(0, 0.02, 12))
    level = strictest_level(FULL[1], METRICS)
    moved = [d + 0.4 for d in rounds]
    found = resolution(rounds, 20, DELTA, level)
    assert resolution(moved, 20, DELTA, level) == pytest.approx(found)
    assert resolution([2 * d for d in rounds], 20, DELTA, level) > found


def test_resolution_of_too_few_rounds_is_none() -> None:
    assert resolution([0.0, 0.1], 4, DELTA, 0.001) == math.inf
    assert resolution([0.1], 20, DELTA, 0.001) == math.inf
    assert resolution([0.0] * 12, 20, DELTA, 0.001) == DELTA
