"""Each piece of work under pytest-benchmark; `--benchmark-timer=time.process_time` for CPU time."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from benchmarks.micro.work import PIECES, SWEEPS, WARM_UP_ROUNDS, make, rounds_of

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from benchmarks.micro.work import Work


@pytest.mark.parametrize("name", list(PIECES))
@pytest.mark.parametrize("sweep", range(SWEEPS))
@pytest.mark.usefixtures("_settled")
def bench(benchmark: BenchmarkFixture, name: str, sweep: int, seconds: float) -> None:  # noqa: ARG001 - each sweep is the same
    """Measure one piece, in one sweep over all of them."""
    work = _made(name)
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        work,
        rounds=rounds_of(seconds),
        iterations=PIECES[name].repetitions,
        warmup_rounds=WARM_UP_ROUNDS,
    )


@cache
def _made(name: str) -> Work:
    work = make(name)
    work()  # what is wrong fails here, and is not measured
    return work
