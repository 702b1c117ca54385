"""Records of gates that were never run: rounds drawn from a seed, with effects of known size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.gate.declaration import Benchmark, Declaration
from benchmarks.gate.rounds import Figures, Record, Round

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.gate.rounds import Order

DECLARED = Declaration((
    Benchmark("micro/control", "control", control=True),
    Benchmark("micro/one", "one", covers=("app",)),
    Benchmark("micro/two", "two", covers=("app/store",)),
    Benchmark("http/control", "control", control=True),
    Benchmark("http/page", "a page", covers=("app",)),
))  # fmt: skip


def record(
    effects: Mapping[str, float] | None = None,
    *,
    noise: Mapping[str, float] | None = None,
    drift: Mapping[str, float] | None = None,
    rounds: int = 12,
    seed: int = 1,
) -> Record:
    """Draw a record.

    Args:
        effects: by metric: the ratio of what the head takes to what the base takes.
        noise: by metric: spread of one arm, as a logarithm; 1 % where it is not named.
        drift: by metric: how much longer the later arm of a round takes, as a logarithm.
        rounds: how many.
        seed: of the noise.
    """
    rng = np.random.default_rng(seed)
    metrics = DECLARED.metrics()
    drawn = []
    for number in range(rounds):
        figures = {}
        for metric in metrics:
            slower = math.log((effects or {}).get(metric.name, 1.0))
            later = (drift or {}).get(metric.name, 0.0)
            deviations = rng.normal(0, (noise or {}).get(metric.name, 0.01), 4)
            logs = deviations + np.array([0, later, slower, slower + later])
            sign = -1 if metric.more_is_better else 1
            figures[metric.name] = Figures(*(float(x) for x in 0.001 * np.exp(sign * logs)))
        order: Order = "ABBA" if number % 2 else "BAAB"
        drawn.append(Round(order=order, hash_seed=number, padding=0, seconds=1.0, figures=figures))
    return Record(base="b" * 40, head="c" * 40, quick=False, rounds=drawn)
