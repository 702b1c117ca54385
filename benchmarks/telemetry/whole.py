"""Stacks under load: Nginx in front, one worker, each arm's settings; fresh ones for each set."""

from __future__ import annotations

import os
import random
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.http.paths import asked
from benchmarks.http.sender import Sender, sender
from benchmarks.http.stack import Place, Stack, standing
from benchmarks.machine import ROOT
from benchmarks.pairs import Ratio, ratio
from benchmarks.peers.generator import Load
from benchmarks.peers.redis_server import redis
from benchmarks.peers.session import Cpus, UnmeasuredError
from benchmarks.telemetry.arms import ARMS, BARE, server_of

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = ("health", "home", "productionplan")
_CONNECTIONS = 16
_WARM_UP_S = 0.2


@dataclass(slots=True)
class Figures:
    """What was measured of all arms at one path, by arm, in the order of the rounds.

    Attributes:
        per_second: requests answered.
        cpu_us: of the worker, for each request, microseconds.
    """

    per_second: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in ARMS})
    cpu_us: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in ARMS})

    def slowdown(self, arm: str, seed: int) -> Ratio:
        """How many times the throughput of the bare arm is that of an arm."""
        return ratio(self.per_second[BARE], self.per_second[arm], seed)

    def cost(self, arm: str, seed: int) -> Ratio:
        """How many times the worker's CPU of the bare arm an arm takes."""
        return ratio(self.cpu_us[arm], self.cpu_us[BARE], seed)

    def middle(self, arm: str) -> tuple[float, float]:
        """Medians of an arm: requests a second, and microseconds of CPU."""
        return median(self.per_second[arm]), median(self.cpu_us[arm])


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Attributes:
        sets: of stacks, each with fresh processes.
        rounds: of each set.
        seconds: of each load.
    """

    sets: int
    rounds: int
    seconds: float


def measure(effort: Effort, seed: int, say: Callable[[str], None]) -> dict[str, Figures]:
    """Load every arm at every path, in turns; figures by path.

    Raises:
        UnmeasuredError: a stack does not come up, or fails under load.
    """
    rng = random.Random(seed)
    cpus = Cpus.of_this_machine()
    found = {name: Figures() for name in NAMES}
    for number in range(effort.sets):
        say(f"set {number + 1} of {effort.sets}")
        with (
            tempfile.TemporaryDirectory(prefix="windlass-bench-") as folder,
            redis(Path(folder), cpus.load, say) as address,
            standing(_places(Path(folder), address), cpus) as stacks,
            sender(cpus.load) as sends,
        ):
            for _ in range(effort.rounds):
                for name in NAMES:
                    order = list(ARMS)
                    rng.shuffle(order)
                    for arm in order:
                        _load(name, arm, stacks, sends, effort.seconds, found[name])
    return found


def _places(folder: Path, address: str) -> list[Place]:
    return [
        Place(
            arm=server_of(name),
            root=ROOT,
            python=Path(sys.executable),
            environ={**os.environ, **arm.settings},
            redis=address,
            folder=folder / server_of(name),
        )
        for name, arm in ARMS.items()
        if name == server_of(name)
    ]


def _load(
    name: str, arm: str, stacks: dict[str, Stack], sends: Sender, seconds: float, found: Figures
) -> None:
    stack = stacks[server_of(arm)]
    wanted = asked(name, stack.address)
    load = Load(
        addresses=[stack.address],
        request=ARMS[arm].request(wanted.content),
        connections=_CONNECTIONS,
        seconds=seconds,
        warm_up_s=_WARM_UP_S,
    )
    before = stack.cpu_s(wanted.served)
    outcome = sends.send(load)
    spent = stack.cpu_s(wanted.served) - before
    if outcome.errors or not outcome.answered:
        raise UnmeasuredError(f"{arm} failed at {name}: {outcome.errors}")
    found.per_second[arm].append(outcome.per_second)
    found.cpu_us[arm].append(spent / outcome.total * 1e6)
