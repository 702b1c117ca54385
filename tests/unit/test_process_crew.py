"""How long a slot waits for its next worker."""

from __future__ import annotations

import pytest

from app.process.crew import MAX_BACKOFF_S, pause_before_fork_s


@pytest.mark.parametrize(
    ("failures", "served_s", "pause_s"),
    [
        (0, 100.0, 0.0),
        (1, 0.0, 0.0),
        (2, 0.0, 0.2),
        (4, 0.5, 0.8),
        (20, 0.0, MAX_BACKOFF_S),
        (2000, 0.0, MAX_BACKOFF_S),
        (20, 1.0, 0.0),
    ],
)
def test_only_those_that_hardly_serve_have_to_wait(
    failures: int, served_s: float, pause_s: float
) -> None:
    assert pause_before_fork_s(failures, served_s) == pytest.approx(pause_s)
