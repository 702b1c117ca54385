"""What is drawn for each round: the order of its arms, its hash seed, the size of its environment.

A seed and a number give the same round each time. Hash seed and environment change what Python and
the kernel put where in memory, which can make the same code a few per cent faster or slower; so
they are the same for all arms of a round and differ between rounds.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from benchmarks.gate.rounds import ArmName, Order

_TURNS: Final[dict[Order, tuple[ArmName, ...]]] = {
    "ABBA": ("A1", "B1", "B2", "A2"),
    "BAAB": ("B1", "A1", "A2", "B2"),
}
_MOST_PADDING = 4096
_LARGEST_HASH_SEED = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Draw:
    """A round's conditions.

    Attributes:
        padding: bytes that are added to the environment.
    """

    order: Order
    hash_seed: int
    padding: int

    @property
    def turns(self) -> tuple[ArmName, ...]:
        """The arms in their order."""
        return _TURNS[self.order]

    @property
    def environ(self) -> dict[str, str]:
        """What every process of the round has in its environment."""
        return {"PYTHONHASHSEED": str(self.hash_seed), "BENCHMARK_PADDING": "x" * self.padding}


def draw(seed: int, number: int) -> Draw:
    """The conditions of a round, by the gate's seed and the round's number."""
    rng = random.Random(f"gate {seed} {number}")
    order: Order = rng.choice(["ABBA", "BAAB"])
    return Draw(order, rng.randrange(_LARGEST_HASH_SEED), rng.randrange(_MOST_PADDING))
