"""What is noted of a request: for which there is a line."""

from __future__ import annotations

import pytest

from app.telemetry.answered import Answered
from app.telemetry.meter import NOBODY
from app.telemetry.trace import PassOn
from app.web.recording import Recording


@pytest.mark.parametrize(
    ("status", "duration_s", "every", "has_line"),
    [
        (200, 0.01, False, False),
        (404, 0.01, False, False),
        (500, 0.01, False, True),
        (503, 0.01, False, True),
        (200, 1.0, False, True),
        (200, 0.01, True, True),
    ],
)
def test_line_is_written_for_what_failed_or_took_a_second_or_for_every_request(
    status: int, duration_s: float, *, every: bool, has_line: bool
) -> None:
    lines: list[Answered] = []
    recording = Recording(lines.append, NOBODY, PassOn(), every=every)
    request = Answered("id", "GET", "/", "/", status, duration_s, "192.0.2.1", None)
    recording.end(request)
    assert lines == [request] * has_line
    assert recording.tells(status, duration_s) is has_line


def test_without_lines_and_counts_nothing_is_noted() -> None:
    assert Recording(None, NOBODY, PassOn()).is_idle
    lines: list[Answered] = []
    assert not Recording(lines.append, NOBODY, PassOn(), every=False).is_idle
