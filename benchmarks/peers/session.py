"""How much a run measures, and what every part of it is given."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.peers.environment import Environment
    from benchmarks.progress import Progress


class UnmeasuredError(Exception):
    """Something could not be measured; says what failed and what to do next."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Attributes:
        rounds: how often each server has its turn at each path, in every part.
        seconds: of one turn.
        warm_up_s: seconds of load before each turn that are not counted.
    """

    rounds: int
    seconds: float
    warm_up_s: float


FULL = Effort(rounds=7, seconds=2.0, warm_up_s=0.3)
QUICK = Effort(rounds=2, seconds=0.3, warm_up_s=0.1)


@dataclass(frozen=True, slots=True)
class Cpus:
    """Which CPU has what, so that a server and its load do not take each other's time.

    Attributes:
        server: of the server that is measured.
        load: of the generator, of Redis, and of all else.
    """

    server: int
    load: int

    @classmethod
    def of_this_machine(cls) -> Cpus:
        """The first and the last CPU that this process may use: one and the same if it has one."""
        allowed = sorted(os.sched_getaffinity(0))
        return cls(allowed[0], allowed[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is asked for.

    Attributes:
        servers: names of those that are measured, in the report's order.
        paths: of the requests that are sent.
        connections: kept-alive connections of the load.
        seed: the order of turns follows from it.
        output: folder of what is drawn.
    """

    effort: Effort
    servers: tuple[str, ...]
    paths: tuple[str, ...]
    connections: int
    seed: int
    output: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(Choice):
    """What every part is given: the choice, and what has been made ready for it.

    Attributes:
        peers: the environment that the peers run in; None where none is needed.
        redis: URL of the Redis that all use.
        scratch: folder of sockets and logs, removed at the end.
        capacities: requests per second by server and path, where a part has measured them.
    """

    peers: Environment | None
    redis: str
    cpus: Cpus
    progress: Progress
    scratch: Path
    capacities: dict[tuple[str, str], float] = field(default_factory=dict)

    @property
    def env_file(self) -> Path:
        """An empty file of settings, in the place of the checkout's own `.env`."""
        return self.scratch / "empty.env"

    def rng(self, what: str) -> random.Random:
        """Random numbers of one part."""
        return random.Random(f"{what} {self.seed}")
