"""How long the micro benchmarks run, and a process without the collector's surprises."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--seconds`."""
    parser.addoption(
        "--seconds", type=float, default=0.25, help="CPU seconds of each benchmark, about."
    )


@pytest.fixture
def seconds(request: pytest.FixtureRequest) -> float:
    """CPU seconds of one benchmark."""
    return float(request.config.getoption("--seconds"))


@pytest.fixture(autouse=True)
def _settled() -> Iterator[None]:
    """Take what is loaded out of the collector's sight, as the service does before it forks."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
