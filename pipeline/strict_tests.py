"""Runs tests of which each must run: one that is skipped has failed.

Tests skip what a machine lacks. A job that is there for those very tests would be green without
having run any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.jobs import ROOT, PipelineError

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Watch:
    """What pytest tells of: how many tests ran, and which did not."""

    def __init__(self) -> None:
        self.ran = 0
        self.skipped: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.skipped.append(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped:
            self.skipped.append(report.nodeid)
        self.ran += report.when == "call"


def run_all(tests: Sequence[str]) -> None:
    """Run tests to their end, in this process.

    Args:
        tests: files, below the root.

    Raises:
        PipelineError: one failed or was skipped, or there was none.
    """
    watch = _Watch()
    code = pytest.main([f"--rootdir={ROOT}", *(str(ROOT / name) for name in tests)], [watch])
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        raise PipelineError(f"{', '.join(tests)}: pytest ended with exit code {int(code)}")
    if watch.skipped or not watch.ran:
        first = f", first {watch.skipped[0]}" if watch.skipped else ""
        raise PipelineError(
            f"{', '.join(tests)}: every test has to run here; {watch.ran} did and "
            f"{len(watch.skipped)} were skipped{first}. Their reasons stand above"
        )
