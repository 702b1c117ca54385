"""Stacks under load: Nginx in front, one worker, each arm's settings; fresh ones for each set."""

from __future__ import annotations

import math
import os
import random
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.gate import signed_rank
from benchmarks.http.sender import Sender, sender
from benchmarks.http.slices import Slices, levels
from benchmarks.http.stack import Place, Stack, standing
from benchmarks.machine import ROOT
from benchmarks.pairs import Ratio
from benchmarks.peers.redis_server import redis
from benchmarks.peers.session import Cpus, UnmeasuredError
from benchmarks.telemetry.arms import ARMS, BARE, server_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NAMES = ("health", "home", "productionplan")
_CONNECTIONS = 16
_LEVEL = 0.025
"""Of each of the two limits of an interval."""


@dataclass(slots=True)
class Figures:
    """What was measured of all arms at one path, by arm, in the order of the sets.

    Attributes:
        per_second: requests answered.
        cpu_us: of the worker, for each request, microseconds.
    """

    per_second: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in ARMS})
    cpu_us: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in ARMS})

    def slowdown(self, arm: str) -> Ratio:
        """How many times the throughput of the bare arm is that of an arm."""
        return _paired(self.per_second[BARE], self.per_second[arm])

    def cost(self, arm: str) -> Ratio:
        """How many times the worker's CPU of the bare arm an arm takes."""
        return _paired(self.cpu_us[arm], self.cpu_us[BARE])

    def middle(self, arm: str) -> tuple[float, float]:
        """Medians of an arm: requests a second, and microseconds of CPU."""
        return median(self.per_second[arm]), median(self.cpu_us[arm])


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Attributes:
        sets: of stacks, each with fresh processes: what an interval counts.
        sweeps: of each set at each path, in which each arm has a slice.
        seconds: of a slice.
    """

    sets: int
    sweeps: int
    seconds: float


def measure(
    arms: Sequence[str], effort: Effort, seed: int, say: Callable[[str], None]
) -> dict[str, Figures]:
    """Load these arms at every path, in turns; figures by path.

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
            standing(_places(arms, Path(folder), address), cpus) as stacks,
            sender(cpus.load) as sends,
        ):
            for name, figures in found.items():
                order = list(arms)
                rng.shuffle(order)
                _load(name, {arm: stacks[server_of(arm)] for arm in order}, sends, effort, figures)
    return found


def _load(
    name: str, stacks: Mapping[str, Stack], sends: Sender, effort: Effort, found: Figures
) -> None:
    """Send one kind of request to all arms, and keep a figure of each."""
    wanted = {arm: stack.check(name) for arm, stack in stacks.items()}
    sent = sends.send(
        Slices(
            servers=[
                stack.server(ARMS[arm].request(wanted[arm].content), wanted[arm].served)
                for arm, stack in stacks.items()
            ],
            connections=_CONNECTIONS,
            seconds=effort.seconds,
            sweeps=effort.sweeps,
        )
    )
    if any(sent.errors):
        raise UnmeasuredError(
            f"{name} failed under load: {dict(zip(stacks, sent.errors, strict=True))}"
        )
    turns = dict(zip(stacks, sent.slices, strict=True))
    per_second = levels({arm: [t.answered / t.seconds for t in of] for arm, of in turns.items()})
    cpu_s = levels({arm: [t.cpu_s / t.answered for t in of] for arm, of in turns.items()})
    for arm in stacks:
        found.per_second[arm].append(per_second[arm])
        found.cpu_us[arm].append(cpu_s[arm] * 1e6)


def _paired(these: Sequence[float], those: Sequence[float]) -> Ratio:
    """How many times those are these, of pairs of one set each; the interval is exact."""
    differences = np.log(these) - np.log(those)
    return Ratio(
        math.exp(signed_rank.estimate(differences)),
        math.exp(signed_rank.lower_limit(differences, _LEVEL)),
        math.exp(signed_rank.upper_limit(differences, _LEVEL)),
    )


def _places(arms: Sequence[str], folder: Path, address: str) -> list[Place]:
    return [
        Place(
            arm=server,
            root=ROOT,
            python=Path(sys.executable),
            environ={**os.environ, **ARMS[server].settings},
            redis=address,
            folder=folder / server,
        )
        for server in dict.fromkeys(server_of(name) for name in arms)
    ]
