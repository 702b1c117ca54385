"""The smallest slowdown that could have been seen, given how much the rounds differ.

The rounds' own deviations from their estimate are drawn anew, with signs by a coin since the test
assumes symmetry, and moved by a supposed slowdown; the resolution is the least that the test then
finds with a probability of `POWER`. It looks at the spread alone, never at what was found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.gate.signed_rank import estimate, most_at_or_below, walsh_averages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

POWER = 0.9
_DRAWS = 1000
_SEED = 20


def resolution(differences: Sequence[float], rounds: int, delta: float, level: float) -> float:
    """The least true difference that is found with a probability of `POWER`.

    Args:
        differences: of the rounds measured; logarithms of ratios.
        rounds: how many the test would have.
        delta: that the test asks to be exceeded.
        level: of the test.

    Returns:
        A logarithm of a ratio; infinity where so few rounds can find nothing.
    """
    most = most_at_or_below(rounds, level)
    if most < 0 or len(differences) < 2:
        return float("inf")
    averages = walsh_averages(_noise(differences, rounds))
    # The lower limit of each draw; the test finds a slowdown that lifts it above delta.
    limits = np.partition(averages, most, axis=-1)[:, most]
    return max(delta, delta + float(np.quantile(-limits, POWER)))


def _noise(differences: Sequence[float], rounds: int) -> NDArray[np.float64]:
    """Rounds without any effect, of shape (draws, rounds)."""
    rng = np.random.default_rng(_SEED)
    given = np.asarray(differences, dtype=float)
    # Deviations from an estimate are smaller than from the truth, by about this.
    residuals = (given - estimate(given)) * np.sqrt(len(given) / (len(given) - 1))
    drawn = rng.choice(residuals, size=(_DRAWS, rounds))
    noise: NDArray[np.float64] = drawn * rng.choice([-1.0, 1.0], size=drawn.shape)
    return noise
