"""What all tests share: the real programs that the stack runs, and real payloads."""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING

import pytest
import structlog

from app.stack import binaries
from tests.support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def pytest_configure() -> None:
    """Let Ctrl-C end what tests start, also where a shell runs the tests in the background.

    Such a shell has them ignore it, and what ignores a signal hands that on to what it starts.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Leave out of the coverage what a test that is marked `unmeasured` starts.

    Coverage makes a process of Python that lives for a moment twice as dear. It shows nothing where
    the process runs a copy of the code, which is not counted, or what other tests have covered.
    """
    with pytest.MonkeyPatch.context() as patch:
        if item.get_closest_marker("unmeasured"):
            patch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        return (yield)


@pytest.fixture(scope="session")
def redis_server() -> Path:
    """The redis-server that the stack would run."""
    return binaries.provide(binaries.REDIS, ROOT, os.environ["PATH"], print).path


@pytest.fixture(scope="session")
def powerplant() -> Path:
    """Folder of the payloads that the plan's contract names."""
    return ROOT / "tests" / "data" / "powerplant"


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """Undo what a test does to the logging of the process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
