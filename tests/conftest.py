"""What all tests share: the real programs that the stack runs, and real payloads."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from app.stack import binaries
from tests.support import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def redis_server() -> Path:
    """The redis-server that the stack would run."""
    return binaries.provide(binaries.REDIS, ROOT, os.environ["PATH"], print).path


@pytest.fixture(scope="session")
def powerplant() -> Path:
    """Folder of the payloads that the plan's contract names."""
    return ROOT / "tests" / "data" / "powerplant"
