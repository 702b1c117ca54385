"""One round of all paths: each path in turn, and for each path the arms in the round's order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from benchmarks.peers.generator import Load
from benchmarks.peers.session import UnmeasuredError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.http.sender import Sender
    from benchmarks.http.stack import Stack
    from benchmarks.peers.generator import Outcome
    from benchmarks.peers.session import Cpus

CONTROL = "control"
_LOAD_SHARE = 0.4
"""Rate of the open loop, as a share of what the base could do in the trial."""
_CONNECTIONS = 16
_LONGER = 5


@dataclass(frozen=True, slots=True)
class Effort:
    """How long each load lasts.

    Attributes:
        closed_s: of the closed loop.
        open_s: of the open loop; 0 for none.
        warm_up_s: before each, not counted in throughput and latency.
    """

    closed_s: float
    open_s: float
    warm_up_s: float


@dataclass(slots=True)
class Outcomes:
    """What a round gave.

    Attributes:
        figures: by metric and arm.
        failures: by benchmark and arm, a sentence.
    """

    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)

    def put(self, metric: str, arm: str, figure: float) -> None:
        """Keep one figure."""
        self.figures.setdefault(metric, {})[arm] = figure


@dataclass(frozen=True, slots=True)
class Bench:
    """What a round's loads are sent with.

    Attributes:
        rates_hz: of the open loops, by benchmark; filled by the trial.
        step: called after each load.
    """

    sender: Sender
    cpus: Cpus
    effort: Effort
    rates_hz: dict[str, float]
    step: Callable[[], None]

    def load_all(
        self, names: Sequence[str], stacks: Mapping[str, Stack], turns: Sequence[str]
    ) -> Outcomes:
        """Load each path of each arm.

        Args:
            names: of the benchmarks, short; all of them on these stacks.
            stacks: by arm.
            turns: the arms in the round's order.
        """
        found = Outcomes()
        for name in names:
            for arm in turns:
                try:
                    self._load(name, stacks[arm], found)
                except UnmeasuredError as error:
                    found.failures[f"http/{name}", arm] = str(error)
                self.step()
        return found

    def _load(self, name: str, stack: Stack, found: Outcomes) -> None:
        request = stack.check(name)
        before = stack.cpu_s(request.served)
        closed = self._send(stack, request.content, self.effort.closed_s, None)
        spent = stack.cpu_s(request.served) - before
        if spent <= 0:
            raise UnmeasuredError(f"{stack.arm}: a process that had used CPU time left under load")
        found.put(f"http/{name} cpu", stack.arm, spent / closed.total)
        if name == CONTROL:
            return
        found.put(f"http/{name} throughput", stack.arm, closed.per_second)
        rate_hz = self.rates_hz.setdefault(name, max(1.0, closed.per_second * _LOAD_SHARE))
        if self.effort.open_s:
            latencies = self._send(stack, request.content, self.effort.open_s, rate_hz).latencies_s
            for metric, percentile in (("p50", 50), ("p99", 99)):
                figure = float(np.percentile(latencies, percentile))
                found.put(f"http/{name} {metric}", stack.arm, figure)

    def _send(self, stack: Stack, request: bytes, seconds: float, rate_hz: float | None) -> Outcome:
        load = Load(
            addresses=[stack.address], request=request, connections=_CONNECTIONS,
            seconds=seconds, warm_up_s=self.effort.warm_up_s, rate_hz=rate_hz, cpu=self.cpus.load,
        )  # fmt: skip
        outcome = self.sender.send(load)
        if not outcome.answered and not outcome.errors:
            # On a starved machine nothing may happen for as long as a load lasts.
            longer = msgspec.structs.replace(load, seconds=_LONGER * seconds)
            outcome = self.sender.send(longer)
        if outcome.errors or not outcome.answered:
            kinds = ", ".join(f"{n:,} times {kind}" for kind, n in outcome.errors.items())
            raise UnmeasuredError(f"{stack.arm} failed under load: {kinds or 'no answer at all'}")
        return outcome
