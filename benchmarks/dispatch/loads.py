"""Which loads some plants can meet at all: a set of bits, one for each step of load.

Shares no code with the solver. It is slow with thousands of plants, and needed only where our
solver says that there is no plan and HiGHS does not say so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.dispatch.highs import limits

if TYPE_CHECKING:
    from benchmarks.dispatch.families import Problem


def can_be_met(problem: Problem) -> bool:
    """Whether any outputs of the plants add up to the load exactly."""
    load = int(problem.load * 10)
    room = (1 << (load + 1)) - 1
    sums = 1  # the bit of nothing delivered
    for plant in problem.plants:
        low, high = limits(plant, problem.fuels)
        sums |= _spread(sums << low, high - low + 1) & room
    return bool(sums >> load & 1)


def _spread(bits: int, width: int) -> int:
    """Set the `width` bits from each one upwards."""
    covered = 1
    while covered < width:
        step = min(covered, width - covered)
        bits |= bits << step
        covered += step
    return bits
