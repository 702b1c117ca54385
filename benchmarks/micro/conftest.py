"""How long the micro benchmarks run, and a process without the collector's surprises.

What pytest-benchmark would find out about processor and commit is left out: it asks other programs,
which takes as long as half of the benchmarks, and the gate says it once for all processes.
"""

from __future__ import annotations

import gc

import pytest

from benchmarks.micro import turns

_SWEEP = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--seconds`."""
    parser.addoption(
        "--seconds", type=float, default=0.25, help="CPU seconds of each benchmark, about."
    )


def pytest_benchmark_generate_machine_info() -> dict[str, str]:
    """Nothing: the gate describes the machine."""
    return {}


def pytest_benchmark_generate_commit_info() -> dict[str, str]:
    """Nothing: the gate names the commits."""
    return {}


@pytest.fixture
def seconds(request: pytest.FixtureRequest) -> float:
    """CPU seconds of one benchmark."""
    return float(request.config.getoption("--seconds"))


@pytest.fixture
def _settled(_turn: None) -> None:
    """Take what is loaded out of the collector's sight, as the service does before it forks."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def _turn(request: pytest.FixtureRequest) -> None:
    """Wait for this process's turn where a sweep begins."""
    sweep = request.node.callspec.params["sweep"]
    if request.config.stash.get(_SWEEP, None) != sweep:
        request.config.stash[_SWEEP] = sweep
        turns.wait()
