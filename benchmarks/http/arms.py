"""One round of all paths: one after the other, and for each the arms in turns, slice by slice."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from benchmarks.http.slices import Slices, levels
from benchmarks.peers.session import UnmeasuredError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.http.paths import Asked
    from benchmarks.http.sender import Sender
    from benchmarks.http.slices import Slice
    from benchmarks.http.stack import Stack

CONTROL = "control"
_LOAD_SHARE = 0.4
"""Rate of the open loop, as a share of what the slowest arm could do in the trial."""
_CONNECTIONS = 16
_FEWEST = 10
"""Requests of a slice of an open loop."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is sent to each arm.

    Attributes:
        slice_s: seconds of a slice.
        closed: slices of the closed loop.
        open: slices of the open loop; 0 for none.
    """

    slice_s: float
    closed: int
    open: int


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

    def put_all(self, metric: str, figures: Mapping[str, float]) -> None:
        """Keep the figures of all arms."""
        for arm, figure in figures.items():
            self.put(metric, arm, figure)


class _FailedError(Exception):
    """Arms that cannot be measured: a sentence for each."""

    def __init__(self, reasons: dict[str, str]) -> None:
        self.reasons = reasons
        super().__init__("; ".join(reasons.values()))


@dataclass(frozen=True, slots=True)
class Bench:
    """What a round's loads are sent with.

    Attributes:
        rates_hz: of the open loops, by benchmark; filled by the trial.
        step: called after each path.
    """

    sender: Sender
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

        Raises:
            UnmeasuredError: what sends the loads has ended.
        """
        found = Outcomes()
        for name in names:
            try:
                self._load(name, {arm: stacks[arm] for arm in turns}, found)
            except _FailedError as error:
                for arm, reason in error.reasons.items():
                    found.failures[f"http/{name}", arm] = reason
            self.step()
        return found

    def _load(self, name: str, stacks: Mapping[str, Stack], found: Outcomes) -> None:
        asked = _of_each(stacks, lambda stack: stack.check(name))
        before = _of_each(stacks, lambda stack: stack.cpu_s(asked[stack.arm].served))
        closed = self._send(stacks, asked, self.effort.closed, None)
        after = _of_each(stacks, lambda stack: stack.cpu_s(asked[stack.arm].served))
        shares = _of_each(
            stacks, lambda stack: closed[stack.arm].share(after[stack.arm] - before[stack.arm])
        )
        cpu_s = _levels(closed, lambda turn: turn.cpu_s / turn.answered)
        found.put_all(f"http/{name} cpu", {arm: cpu_s[arm] * shares[arm] for arm in cpu_s})
        if name == CONTROL:
            return
        per_second = _levels(closed, lambda turn: turn.answered / turn.seconds)
        found.put_all(f"http/{name} throughput", per_second)
        rate_hz = self.rates_hz.setdefault(name, max(1.0, min(per_second.values()) * _LOAD_SHARE))
        if self.effort.open:
            opened = self._send(stacks, asked, self.effort.open, rate_hz)
            found.put_all(
                f"http/{name} p50", _levels(opened, lambda turn: median(turn.latencies_s))
            )
            found.put_all(f"http/{name} p99", {arm: of.p99_s() for arm, of in opened.items()})

    def _send(
        self,
        stacks: Mapping[str, Stack],
        asked: Mapping[str, Asked],
        sweeps: int,
        rate_hz: float | None,
    ) -> dict[str, _Loaded]:
        seconds = max(self.effort.slice_s, _FEWEST / rate_hz) if rate_hz else self.effort.slice_s
        sent = self.sender.send(
            Slices(
                servers=[
                    stack.server(asked[arm].content, asked[arm].served)
                    for arm, stack in stacks.items()
                ],
                connections=_CONNECTIONS,
                seconds=seconds,
                sweeps=sweeps,
                rate_hz=rate_hz,
            )
        )
        failed = {
            arm: f"{arm} failed under load: {kinds}"
            for arm, errors in zip(stacks, sent.errors, strict=True)
            if (kinds := ", ".join(f"{n:,} times {kind}" for kind, n in errors.items()))
        }
        if failed:
            raise _FailedError(failed)
        of = zip(stacks, sent.slices, sent.spent_s, strict=True)
        return {arm: _Loaded(arm, turns, spent_s) for arm, turns, spent_s in of}


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What one arm did under a load."""

    arm: str
    turns: list[Slice]
    spent_s: float

    def share(self, whole_s: float) -> float:
        """What was spent with all that came and went below what serves, of what that spent itself.

        Args:
            whole_s: the former.

        Raises:
            UnmeasuredError: nothing was spent, or less than nothing.
        """
        idle = sum(turn.cpu_s <= 0 for turn in self.turns)
        if idle:
            raise UnmeasuredError(
                f"{self.arm} used no CPU time in {idle} of {len(self.turns)} slices"
            )
        if whole_s <= 0:
            raise UnmeasuredError(f"{self.arm}: a process that had used CPU time left under load")
        return whole_s / self.spent_s

    def p99_s(self) -> float:
        """The 99th percentile of all latencies."""
        return float(np.percentile(np.concatenate([turn.latencies_s for turn in self.turns]), 99))


def _levels(loaded: Mapping[str, _Loaded], figure: Callable[[Slice], float]) -> dict[str, float]:
    return levels({arm: [figure(turn) for turn in of.turns] for arm, of in loaded.items()})


def _of_each(stacks: Mapping[str, Stack], ask: Callable[[Stack], T]) -> dict[str, T]:
    """Ask all arms.

    Raises:
        _FailedError: some cannot tell.
    """
    told, failed = {}, {}
    for arm, stack in stacks.items():
        try:
            told[arm] = ask(stack)
        except UnmeasuredError as error:
            failed[arm] = str(error)
    if failed:
        raise _FailedError(failed)
    return told
