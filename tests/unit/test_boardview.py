"""The status board in words: the verdict is right, and what is not known is no figure."""

from __future__ import annotations

import msgspec
import pytest

from app.telemetry.board import Board, Event
from app.telemetry.verdict import NO_WAY_BACK
from app.web.boardview import clock, duration, moment, plots_of, view_of
from tests.support import ROOT


@pytest.fixture
def board() -> Board:
    text = (ROOT / "tests" / "data" / "board.json").read_bytes()
    return msgspec.json.decode(text, type=Board)


@pytest.fixture
def well(board: Board) -> Board:
    """The board without its faults."""
    board.workers = [worker for worker in board.workers if worker.state == "ready"]
    return board


def test_all_is_well(well: Board) -> None:
    view = view_of(well)
    assert (view.verdict.text, view.verdict.tone) == ("All is well", "ok")
    assert view.reasons == []


def test_worker_that_waits_is_a_fault_and_says_why(board: Board) -> None:
    view = view_of(board)
    assert view.verdict.tone == "warn"
    assert view.reasons == ["Worker 2 is waiting, exited with 1"]


def test_redis_away_is_bad(well: Board) -> None:
    well.redis.state, well.redis.reason = "away", "no answer within 150 ms"
    view = view_of(well)
    assert view.verdict.tone == "bad"
    assert view.reasons == ["Redis is away: no answer within 150 ms"]
    assert view.cells["redis"].text == "away"


def test_no_worker_is_bad(well: Board) -> None:
    well.workers = []
    assert view_of(well).verdict.tone == "bad"


def test_no_worker_but_those_of_a_killed_master_is_a_fault(well: Board) -> None:
    for worker in well.workers:
        worker.state = "starting"
    well.orphans = 2
    assert view_of(well).verdict.tone == "warn"
    assert view_of(well).reasons == ["No worker is ready; those of a master that was killed serve"]


@pytest.mark.parametrize("reload", ["failed: it was not ready", "went back to 1.1: it was worse"])
def test_reload_that_failed_is_a_fault(well: Board, reload: str) -> None:
    well.release.reload = reload
    assert view_of(well).reasons == [f"The last reload {reload}"]


def test_way_back_that_there_was_not_is_no_fault(well: Board) -> None:
    well.release.reload = f"failed: {NO_WAY_BACK}"
    assert view_of(well).verdict.tone == "ok"


def test_errors_late_loops_and_uncounted_requests_are_faults(well: Board) -> None:
    well.traffic.errors_per_s = 4.25
    well.workers[0].lag_ms = 250.0
    well.workers[1].lag_lasting_ms = 250.0
    well.metrics = False
    assert view_of(well).reasons == [
        "4.2 requests a second fail",
        "The event loop of worker 1 has been late for 5 s",
        "Requests are not counted (METRICS=no)",
    ]


def test_every_row_has_as_many_cells_as_its_table_has_columns(board: Board) -> None:
    rows = view_of(board).rows
    widths = {name: {len(row) for row in of} for name, of in rows.items()}
    assert widths == {"workers": {10}, "routes": {5}, "events": {4}, "deployments": {6}}


def test_what_is_not_known_is_a_dash(board: Board) -> None:
    board.traffic.p50_ms = None
    view = view_of(board)
    dash = "\N{EN DASH}"
    assert view.cells["p50_ms"].text == dash
    waiting = view.rows["workers"][3]
    assert [cell.text for cell in waiting if cell.text == dash] == [dash] * 7


def test_plots_are_those_of_the_series(board: Board) -> None:
    plots = plots_of(board)
    assert {name: len(drawn.paths) for name, drawn in plots.items() if drawn} == {
        "requests": 2, "durations": 2,
    }  # fmt: skip
    for column in ("time", "requests_per_s", "errors_per_s", "p50_ms", "p99_ms"):
        setattr(board.series, column, [])
    assert plots_of(board) == {"requests": None, "durations": None}


def test_what_changed_is_marked_in_every_plot(board: Board) -> None:
    died = Event(board.series.time[3], "worker died", "worker 1 killed by SIGKILL", "1.2.0")
    board.events = [died, msgspec.structs.replace(died, at=board.series.time[0] - 1)]
    for drawn in plots_of(board).values():
        assert drawn is not None
        (mark,) = drawn.marks
        assert (mark.tone, mark.text) == ("bad", f"{clock(died.at)} worker died")
        assert drawn.left < mark.place < drawn.right


def test_failure_is_drawn_over_what_happened_in_the_same_moment(board: Board) -> None:
    died = Event(board.series.time[3], "worker died", "", "1.2.0")
    board.events = [died, msgspec.structs.replace(died, kind="reloaded")]
    for drawn in plots_of(board).values():
        assert drawn is not None
        assert [mark.tone for mark in drawn.marks] == ["ok", "bad"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (545.5, "9 min 5 s"), (905.5, "15 min"),
        (3600, "1 h 0 min"), (276_480, "3 d 4 h"),
    ],
)  # fmt: skip
def test_duration_to_about_a_tenth(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_moments_are_in_utc() -> None:
    assert moment(1763745601.0) == "2025-11-21 17:20:01"
