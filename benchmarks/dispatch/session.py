"""How much a run measures, and what every part of it is given."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.dispatch.families import Problem
    from benchmarks.progress import Progress


class UnmeasuredError(Exception):
    """A part could not be measured; says what failed and what to do next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is measured.

    Attributes:
        equal_small: problems of 3 to 60 plants in each family.
        equal_large: problems of `large_plants` in each family.
        large_plants: least and greatest number of plants of a large problem.
        timed: number of problems by number of plants.
        worst: by number of plants, for each family: problems for ours, and how many of them HiGHS
            gets as well.
        plotted: number of problems by number of plants.
        memory_plants: plants of each problem of which the memory is measured.
        health_rounds: how many times the worker is idle and then busy.
        health_round_s: seconds of each.
        health_plants: plants of the problems that it computes.
        highs_limit_s: seconds after which HiGHS is stopped where a problem may be hostile.
    """

    equal_small: int
    equal_large: int
    large_plants: tuple[int, int]
    timed: Mapping[int, int]
    worst: Mapping[int, tuple[int, int]]
    plotted: Mapping[int, int]
    memory_plants: int
    health_rounds: int
    health_round_s: float
    health_plants: tuple[int, ...]
    highs_limit_s: float


FULL = Effort(
    equal_small=340,
    equal_large=14,
    large_plants=(100, 2000),
    timed={6: 400, 20: 400, 100: 300, 1000: 150, 2000: 120},
    worst={20: (50, 5), 100: (50, 3), 1000: (20, 2), 5000: (10, 2)},
    plotted={5: 200, 10: 200, 20: 200, 50: 200, 100: 150, 200: 100, 500: 100, 1000: 60, 2000: 40,
             5000: 30},
    memory_plants=5000,
    health_rounds=4,
    health_round_s=5.0,
    health_plants=(2000, 3500, 5000),
    highs_limit_s=10.0,
)  # fmt: skip
QUICK = Effort(
    equal_small=5,
    equal_large=1,
    large_plants=(100, 150),
    timed={6: 30, 20: 30, 100: 20, 1000: 12},
    worst={20: (5, 1), 100: (5, 1)},
    plotted={5: 20, 20: 20, 100: 12, 500: 4, 5000: 2},
    memory_plants=1000,
    health_rounds=2,
    health_round_s=1.0,
    health_plants=(2000,),
    highs_limit_s=0.5,
)


@dataclass(frozen=True, slots=True)
class Session:
    """What every part is given.

    Attributes:
        effort: how much to measure.
        seed: every problem and every order of turns follows from it.
        progress: told of each step.
        output: folder of what is drawn; made by the part that draws.
    """

    effort: Effort
    seed: int
    progress: Progress
    output: Path

    def rng(self, what: str) -> random.Random:
        """Random numbers of one part."""
        return random.Random(f"{what} {self.seed}")

    def seed_of(self, number: int) -> int:
        """The seed of a family's problem of that number; no two sessions share one."""
        return self.seed * 1_000_000 + number

    def ordinary(self, plants: int, number: int) -> Problem:
        """An ordinary problem: the families take turns."""
        from benchmarks.dispatch import families  # noqa: PLC0415 - `--help` waits for no solver

        family = families.ORDINARY[number % len(families.ORDINARY)]
        return families.draw(family, plants, self.seed_of(number))
