"""Stacks for the tests that need the whole of it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support import ROOT, Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def make_stack(tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """Make stacks that are taken down, whatever happens, when the test ends."""
    made: list[Stack] = []

    def make(name: str = "state", **settings: str) -> Stack:
        made.append(Stack(tmp_path / name, settings))
        return made[-1]

    yield make
    for stack in made:
        with contextlib.suppress(subprocess.TimeoutExpired):
            if not stack.is_gone():
                stack.run("down")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the code that a test may break."""
    copy = tmp_path / "checkout"
    copy.mkdir()
    for name in ("app", "nginx", "supervisord.conf", "requirements-binaries.txt", ".env"):
        source = ROOT / name
        if source.is_dir():
            # Compiled modules keep their times; what is being written may be gone the next moment.
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("*.pyc.*"))
        else:
            shutil.copy(source, copy / name)
    return copy


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack that is up for all tests of a module."""
    stack = Stack(
        tmp_path_factory.mktemp("service") / "state",
        {"ENVIRONMENT": "TESTING", "LOG_FORMAT": "json", "ACCESS_LOG": "yes"},
    )
    stack.up()
    yield stack
    stack.down()
