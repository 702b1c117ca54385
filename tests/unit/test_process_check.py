"""The check of a release: its verdict, its last words, its deadline."""

from __future__ import annotations

import os
import sys

import psutil
import pytest

from app.process.check import Check, Verdict, last_words
from tests.support import wait_for


def verdict_of(code: str, timeout_s: float = 30.0) -> Verdict:
    check = Check.start((sys.executable, "-c", code), os.environ, timeout_s)
    found = wait_for(check.verdict, "the verdict", 60)
    assert isinstance(found, Verdict)
    assert not psutil.pid_exists(check.process.pid), "it was reaped"
    return found


def test_exit_code_0_is_fit_and_all_output_is_kept() -> None:
    found = verdict_of("import sys; print('fine'); print('quite', file=sys.stderr)")
    assert found.is_fit
    assert sorted(found.output.split()) == ["fine", "quite"]


def test_last_line_of_a_traceback_is_the_reason() -> None:
    found = verdict_of("raise RuntimeError('broken at import')")
    assert not found.is_fit
    assert found.reason.endswith("says: RuntimeError: broken at import")
    assert "Traceback" in found.output


def test_one_that_says_nothing_is_known_by_its_exit_code() -> None:
    assert verdict_of("raise SystemExit(9)").reason.endswith("says: exit 9")


def test_one_that_hangs_is_ended_at_its_deadline() -> None:
    found = verdict_of("import time; time.sleep(600)", timeout_s=0.3)
    assert found.reason.endswith("gave no verdict in time")


def test_much_output_does_not_make_it_wait() -> None:
    assert len(verdict_of("print('x' * 5_000_000)").output) == 65536


def test_one_that_cannot_be_executed_leaves_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - Path.iterdir opens another
    with pytest.raises(OSError, match="no-such"):
        Check.start(("/no-such/program",), {}, 1)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("ok a: b\nfailed   application: no\nok c: d\n", "application: no"),
        ("first\nlast\n\n", "last"),
        ("", ""),
        ("x" * 1000, "x" * 600),
        (
            "ok a: b\nfailed   settings: wrong:\n  LOG_LEVEL: allowed is info\nok c: d\n",
            "settings: wrong: LOG_LEVEL: allowed is info",
        ),
    ],
)
def test_last_words(output: str, words: str) -> None:
    assert last_words(output) == words
