"""One round: what is asked for, measured in all four arms, as figures and failures."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.gate.rounds import ARMS, Figures, Round
from benchmarks.http import arms as http_arms
from benchmarks.http.arms import Outcomes
from benchmarks.http.stack import Place, StandingError, standing
from benchmarks.micro import arms as micro_arms
from benchmarks.micro.work import SWEEPS
from benchmarks.peers.redis_server import empty

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.gate.arms import Arms
    from benchmarks.gate.rounds import ArmName
    from benchmarks.gate.schedule import Draw
    from benchmarks.http.sender import Sender
    from benchmarks.peers.session import Cpus


_DATABASES = {letter: number for number, letter in enumerate(ARMS, 1)}
"""Of an arm, in Redis. None has the first: for that one no connection would have to ask."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much a round measures.

    Attributes:
        micro_s: CPU seconds of each micro benchmark in each arm, about.
        http: how long the loads last.
        bare: whether micro benchmarks are timed without pytest.
        alone: whether an arm of http is one worker without the rest of the stack.
    """

    micro_s: float
    http: http_arms.Effort
    bare: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What every round is measured with.

    Attributes:
        redis: URL of the one Redis, in which each arm has a database of its own.
        rates_hz: of the open loops; filled in the first round.
        step: called after each piece of a round.
    """

    arms: Arms
    effort: Effort
    cpus: Cpus
    sender: Sender
    redis: str
    step: Callable[[], None]
    rates_hz: dict[str, float] = field(default_factory=dict)

    def steps(self, names: Sequence[str]) -> int:
        """How many pieces a round of these benchmarks has."""
        micro, http = _split(names)
        return SWEEPS * bool(micro) + len(http)

    def measure(
        self, number: int, draw: Draw, names: Sequence[str]
    ) -> tuple[Round, dict[tuple[str, str], str]]:
        """Measure one round.

        Args:
            number: of the round; 0 for the trial.
            draw: its conditions.
            names: of the benchmarks.

        Returns:
            The round, and a sentence for each benchmark and arm that failed.
        """
        begun = time.monotonic()
        micro, http = _split(names)
        found, means = Outcomes(), Outcomes()
        if micro:
            self._micro(draw, micro, found, means)
        if http:  # no round meets what the one before has left
            empty(self.redis)
        for control in (True, False):
            chosen = [name for name in http if (name == http_arms.CONTROL) is control]
            if chosen:
                self._http(number, draw, chosen, found, control=control)
        measured = Round(
            order=draw.order,
            hash_seed=draw.hash_seed,
            padding=draw.padding,
            seconds=round(time.monotonic() - begun, 1),
            figures=_whole(found),
            means=_whole(means),
        )
        return measured, found.failures

    def _micro(self, draw: Draw, names: list[str], found: Outcomes, means: Outcomes) -> None:
        processes = {letter: self._process(letter, draw) for letter in draw.turns}
        results = micro_arms.run(processes, names, self.effort.micro_s, self.step)
        for letter, result in results.items():
            for name, seconds in result.least_s.items():
                found.put(f"micro/{name} cpu", letter, seconds)
                means.put(f"micro/{name} cpu", letter, result.means_s[name])
            for name, reason in result.failures.items():
                found.failures[f"micro/{name}", letter] = reason

    def _process(self, letter: ArmName, draw: Draw) -> micro_arms.Process:
        arm = self.arms.of(letter)
        return micro_arms.Process(
            arm.root, arm.python, {**draw.environ, **arm.environ}, self.cpus.server,
            self.arms.scratch / f"micro-{letter}.json", self.effort.bare,
        )  # fmt: skip

    def _http(
        self, number: int, draw: Draw, names: list[str], found: Outcomes, *, control: bool
    ) -> None:
        kind = "control" if control else "stack"
        places = [
            Place(
                arm=letter,
                root=self.arms.of(letter).root,
                python=self.arms.of(letter).python,
                environ={**draw.environ, **self.arms.of(letter).environ},
                redis=f"{self.redis}?db={_DATABASES[letter]}",
                folder=self.arms.scratch / f"{kind}-{number}-{letter}",
                control=control,
                alone=self.effort.alone,
            )
            for letter in draw.turns
        ]
        loads = http_arms.Bench(self.sender, self.effort.http, self.rates_hz, self.step)
        with ExitStack() as stack:
            try:
                stacks = stack.enter_context(standing(places, self.cpus))
            except StandingError as error:
                found.failures.update({(f"http/{n}", error.arm): str(error) for n in names})
                return
            outcomes = loads.load_all(names, stacks, draw.turns)
        found.figures.update(outcomes.figures)
        found.failures.update(outcomes.failures)
        for place in places:
            shutil.rmtree(place.folder, ignore_errors=True)


def _split(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Short names of the micro benchmarks and of those of the stack."""
    kinds = {"micro": list[str](), "http": list[str]()}
    for name in names:
        kind, _, short = name.partition("/")
        kinds[kind].append(short)
    return kinds["micro"], kinds["http"]


def _whole(found: Outcomes) -> dict[str, Figures]:
    """The metrics that all four arms have."""
    return {
        metric: Figures(*(of[arm] for arm in ARMS))
        for metric, of in found.figures.items()
        if len(of) == len(ARMS)
    }
