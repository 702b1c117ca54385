"""Slowdowns of known size, put into a checkout by lines at the end of a module.

Work is a loop whose number of turns was measured on this machine, not a wait until some time has
passed: so it takes longer when the machine is slower, as real work does. A sleep is one of every
sixteenth request, as long as sixteen: to fall asleep and wake up takes some microseconds, which
would be a tenth of a request by themselves.
"""

from __future__ import annotations

import gc
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

How = Literal["loop", "redis", "sleep"]
_TURNS = 20_000
_TRIES, _CALLS = 300, 5
_PLAN = "app/dispatch/solver.py"
_HOME = "app/web/home.py"
_PLANS_IN_A_REPETITION = 2


@dataclass(frozen=True, slots=True)
class Injection:
    """A slowdown.

    Attributes:
        name: for the records.
        file: that gets it.
        how: a loop of Python, one more round trip to Redis, or a sleep.
        share: of what the work takes without it; 0 where it has the size that it has.
        of: metric that this is a share of.
        concerned: benchmarks that it makes slower.
        beside: benchmarks that are measured as well and must not be named.
    """

    name: str
    file: str
    how: How
    share: float
    of: str
    concerned: frozenset[str]
    beside: frozenset[str]

    @property
    def benchmarks(self) -> set[str]:
        """All that are measured."""
        return set(self.concerned | self.beside)


_MICRO = frozenset({"micro/json", "micro/calculator"})
_HTTP = frozenset({"http/health"})


def _of_dispatch(share: float) -> Injection:
    return Injection(
        f"cpu {share:.0%}", _PLAN, "loop", share, "micro/dispatch cpu",
        frozenset({"micro/dispatch"}), _MICRO,
    )  # fmt: skip


def _of_home(how: How, share: float) -> Injection:
    size = f" {share:.0%}" if share else ""
    metric = "http/home cpu" if how == "loop" else "http/home throughput"
    name = {"loop": "cpu of a page", "redis": "redis round trip", "sleep": "sleep"}[how]
    return Injection(f"{name}{size}", _HOME, how, share, metric, frozenset({"http/home"}), _HTTP)


INJECTIONS = {
    each.name: each
    for each in (
        *(_of_dispatch(share) for share in (0.05, 0.10, 0.20)),
        *(_of_home("loop", share) for share in (0.05, 0.10, 0.20)),
        _of_home("redis", 0),
        *(_of_home("sleep", share) for share in (0.05, 0.10, 0.20)),
    )
}
"""Every injection by its name."""


@contextmanager
def injected(injection: Injection, tree: Path, levels: Mapping[str, float]) -> Iterator[None]:
    """Put a slowdown into a checkout for as long as the block takes; arguments as of `inject`."""
    file = tree / injection.file
    text = file.read_text(encoding="utf-8")
    inject(injection, tree, levels)
    try:
        yield
    finally:
        file.write_text(text, encoding="utf-8")


def inject(injection: Injection, tree: Path, levels: Mapping[str, float]) -> None:
    """Put a slowdown into a checkout.

    Args:
        injection: which.
        tree: the checkout.
        levels: what each metric is without it.

    Raises:
        LookupError: the metric that its size is a share of was not measured.
    """
    seconds = _seconds(injection, levels)
    statement = {
        "loop": f"for _ in range({round(seconds / turn_s())}):\n        pass",
        "redis": "await self.services.store.ping()",
        "sleep": f"_nap({seconds!r})",
    }[injection.how]
    lines = _AROUND_PLAN if injection.file == _PLAN else _AROUND_GET
    before = _NAP if injection.how == "sleep" else ""
    file = tree / injection.file
    text = file.read_text(encoding="utf-8")
    file.write_text(f"{text}\n\n{before}{lines.format(statement=statement)}", encoding="utf-8")


def _seconds(injection: Injection, levels: Mapping[str, float]) -> float:
    if not injection.share:
        return 0.0
    if injection.of not in levels:
        raise LookupError(f"the size of {injection.name!r} takes a level of {injection.of}")
    level = levels[injection.of]
    if injection.of.endswith("throughput"):
        return injection.share / level
    calls = _PLANS_IN_A_REPETITION if injection.file == _PLAN else 1
    return injection.share * level / calls


@cache
def turn_s() -> float:
    """CPU time of one turn of an empty loop, when first asked; the same ever after."""
    return _least_s(_loop) / _TURNS


def level_s(work: Callable[[], object]) -> float:
    """CPU time of a piece of work, as long as `turn_s` says that a turn takes.

    The work and a loop take turns, so that both have met the same CPU: on a virtual machine it may
    be half as fast again a second later.
    """
    with _without_collector():
        in_loops = median(_least_s(work) / _least_s(_loop) for _ in range(_TRIES))
    return in_loops * _TURNS * turn_s()


def _loop() -> None:
    for _ in range(_TURNS):
        pass


def _least_s(work: Callable[[], object]) -> float:
    """The least CPU time of a few calls."""
    times = []
    for _ in range(_CALLS):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times)


@contextmanager
def _without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


_AROUND_PLAN = """\
_without = plan


def plan(*arguments, **options):
    {statement}
    return _without(*arguments, **options)
"""
_NAP = """\
import ctypes
import itertools
import time

_SET_TIMER_SLACK = 29
ctypes.CDLL(None).prctl(_SET_TIMER_SLACK, 1, 0, 0, 0)  # else each sleep is 50 microseconds longer
_numbers = itertools.count()


def _nap(seconds):
    if next(_numbers) % 16 == 0:
        time.sleep(16 * seconds)


"""
_AROUND_GET = """\
_without = HomeHandler.get


async def _get(self):
    {statement}
    await _without(self)


HomeHandler.get = _get
"""
