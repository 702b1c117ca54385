"""Each piece of work under pytest-benchmark; `--benchmark-timer=time.process_time` for CPU time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.micro.work import PIECES, WARM_UP_ROUNDS, make, rounds_of

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture


@pytest.mark.parametrize("name", list(PIECES))
def bench(benchmark: BenchmarkFixture, name: str, seconds: float) -> None:
    """Measure one piece."""
    work = make(name)
    work()  # what is wrong fails here, and is not measured
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        work,
        rounds=rounds_of(seconds),
        iterations=PIECES[name].repetitions,
        warmup_rounds=WARM_UP_ROUNDS,
    )
