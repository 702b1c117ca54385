"""Each piece of work under pytest-benchmark; `--benchmark-timer=time.process_time` for CPU time.

The number of repetitions is fixed beforehand and not found by measuring, so that both revisions do
the same work. Rounds are as short as can be read well: what disturbs a process comes in bursts,
and the shorter a round is, the more of them lie between two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.micro.work import PIECES, make

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

_ROUND_S = 0.001
_WARM_UP_ROUNDS = 3


@pytest.mark.parametrize("name", list(PIECES))
def bench(benchmark: BenchmarkFixture, name: str, seconds: float) -> None:
    """Measure one piece."""
    work = make(name)
    work()  # what is wrong fails here, and is not measured
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        work,
        rounds=max(3, round(seconds / _ROUND_S)),
        iterations=max(1, round(_ROUND_S / PIECES[name].about_s)),
        warmup_rounds=_WARM_UP_ROUNDS,
    )
