"""The texts of telemetry: metrics, routes' templates, tokens, the board in a terminal."""

from __future__ import annotations

import base64
import io
import os
import re
from typing import TYPE_CHECKING

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from tornado.httputil import HTTPHeaders

from app.config import Secret
from app.telemetry import catalogue, exposition
from app.telemetry.board import Board, Deployment, Release, Worker
from app.telemetry.catalogue import COUNTER, HISTOGRAM, METRICS
from app.telemetry.memory import Memory, Origin
from app.telemetry.meter import Meter
from app.telemetry.reporter import Reporter
from app.telemetry.station import CrewSeen, Station
from app.telemetry.totals import add_up, requests_until
from app.top import render, spark
from app.web.operator import has_token
from app.web.recording import template_of
from tests.support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = Secret("a-token-of-operators")


@pytest.fixture
def meter() -> Iterator[tuple[Meter, Memory]]:
    memory = Memory.make()
    region = memory.free(frozenset())
    assert region is not None
    region.assign(1)
    region.sign(Origin("worker", 0, 1, 1.0, "1", "c", "r"))
    yield Meter(region), memory
    os.close(memory.descriptor)


def test_names_and_units_are_by_the_conventions() -> None:
    for metric in METRICS.values():
        assert metric.name.endswith("_total") == (metric.kind == COUNTER), metric.name
        assert metric.name.startswith(("windlass_", "process_"))
        assert not metric.meaning.endswith(".")
        assert bool(metric.bounds) == (metric.kind == HISTOGRAM), metric.name
        assert tuple(sorted(metric.bounds)) == metric.bounds
        assert not {"ms", "mb", "percent", "minutes"} & set(metric.name.split("_"))


def test_labels_that_hold_quotes_and_line_breaks_come_through(
    meter: tuple[Meter, Memory],
) -> None:
    route = 'a "quoted" \\ route\nof two lines'
    meter[0].of_requests("GET", route, 200)(0.25)
    text = exposition.render(add_up(meter[1].read()), []).decode()
    (family,) = [
        found
        for found in text_string_to_metric_families(text)
        if found.name == "windlass_http_requests"
    ]
    assert [(s.labels["route"], s.value) for s in family.samples] == [(route, 1.0)]


def test_numbers_are_whole_or_exact(meter: tuple[Meter, Memory]) -> None:
    meter[0].put(catalogue.LAG_WORST, 0.1)
    meter[0].add(catalogue.WORKER_STARTS, amount=12345678901)
    lines = exposition.render(add_up(meter[1].read()), []).decode().splitlines()
    assert 'windlass_event_loop_lag_max_seconds{worker="0"} 0.1' in lines
    assert "windlass_worker_starts_total 12345678901" in lines


def test_what_another_release_had_in_other_buckets_is_left_out(
    meter: tuple[Meter, Memory],
) -> None:
    meter[0].observer(catalogue.LAG)(0.5)
    totals = add_up(meter[1].read())
    other = {
        msgspec.structs.replace(key, bounds=(1.0,)): [1.0, 2.0, 3.0]
        for key in totals.of(catalogue.LAG.name)
    }
    totals.sums.update(other)
    text = exposition.render(totals, []).decode()
    assert text.count("windlass_event_loop_lag_seconds_count") == 1


def test_requests_count_whatever_buckets_their_release_had(meter: tuple[Meter, Memory]) -> None:
    meter[0].of_requests("GET", "/", 503)(0.25)
    totals = add_up(meter[1].read())
    (key,) = totals.of(catalogue.REQUEST_DURATION.name)
    totals.sums[msgspec.structs.replace(key, bounds=(1.0,))] = [4.0, 3.0, 9.0]
    lines = exposition.render(totals, []).decode().splitlines()
    assert [line for line in lines if line.startswith("windlass_http_requests_total{")] == [
        'windlass_http_requests_total{method="GET",route="/",status="5xx"} 8'
    ]
    found = requests_until(1.0, totals)
    assert (found.requests, found.errors, sum(found.buckets)) == (8, 8, 1)


class Crew:
    """A master whose workers are in these states, each of the pid that is its place from 1."""

    def __init__(self, *states: str) -> None:
        self.workers = [
            Worker(0, state, pid, 1.0, 1.0, "r", "1", "c", 0, "")
            for pid, state in enumerate(states, start=1)
        ]

    def crew(self) -> CrewSeen:
        return CrewSeen(1.0, os.getpid(), Release("r", "1", "c", 1, ""), self.workers, [])

    def deployments(self) -> list[Deployment]:
        return []


def reporter(memory: Memory, *states: str) -> Reporter:
    async def ping() -> None:
        """Redis answers."""

    station = Station(memory=memory, sources=Crew(*states))
    return Reporter(station, "TESTING", Release("r", "1", "c", 1, ""), ping)


@pytest.mark.parametrize("state", ["standby", "stopping", "ready"])
def test_release_counts_for_as_long_as_it_serves(meter: tuple[Meter, Memory], state: str) -> None:
    memory = meter[1]
    newer = memory.free(frozenset())
    assert newer is not None
    newer.assign(2)
    newer.sign(Origin("worker", 0, 2, 2.0, "2", "c", "s"))
    text = reporter(memory, state, "ready").metrics().decode()
    releases = re.findall(r'windlass_build_info{.*release="(.)"} 1', text)
    assert releases == (["r", "s"] if state == "ready" else ["s"])


@pytest.mark.parametrize(
    ("pattern", "template"),
    [
        ("/", "/"),
        ("/health$", "/health"),
        (r"/static/(?P<hashed>[^/]+)$", "/static/{hashed}"),
        (r"/a/(add|subtract)/(\d+)$", "/a/{1}/{2}"),
        (r"/file\.txt$", "/file.txt"),
        (r"/a/(?P<id>\d+(\.\d+)?)$", "/a/{id}"),
        (r"/a/((b|c)+)/(d(?:e))?/f$", "/a/{1}/{2}/f"),
        (r"/a/([()]+)/\((?P<id>\)\d)\)$", "/a/{1}/({id})"),
    ],
)
def test_template_of_a_route_is_what_people_write(pattern: str, template: str) -> None:
    assert template_of(pattern) == template


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("given", "right"),
    [
        (f"Bearer {TOKEN!s}", True),
        (f"bearer  {TOKEN!s}", True),
        (basic(f"anybody:{TOKEN!s}"), True),
        (basic(f":{TOKEN!s}"), True),
        (basic(f"{TOKEN!s}:"), False),
        (basic(f"a:b:{TOKEN!s}"), False),
        (f"Bearer {TOKEN!s}x", False),
        (f"Digest {TOKEN!s}", False),
        (str(TOKEN), False),
        ("Bearer", False),
        ("Basic !", False),
        ("Basic /w==", False),
        ("Basic \xe9", False),
        ("Bearer \xe9", False),
        ("", False),
    ],
)
def test_token_is_a_bearers_or_a_password(given: str, right: bool) -> None:  # noqa: FBT001
    headers = HTTPHeaders({"Authorization": given} if given else {})
    assert has_token(headers, TOKEN) == right
    assert not has_token(headers, Secret("")), "without a token nobody has it"


def test_two_tokens_are_none() -> None:
    headers = HTTPHeaders()
    for _ in range(2):
        headers.add("Authorization", f"Bearer {TOKEN!s}")
    assert not has_token(headers, TOKEN)


def sample() -> Board:
    text = (ROOT / "tests" / "data" / "board.json").read_bytes()
    return msgspec.json.decode(text, type=Board)


def shown(board: Board, width: int = 80, height: int | None = None) -> list[str]:
    """The lines that a terminal of this size shows."""
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(render(board, (width, height)))
    return console.export_text().splitlines()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_board_is_shown_in_a_terminal_of_any_width(width: int) -> None:
    text = "\n".join(shown(sample(), width))
    for part in ("PROD", "requests", "redis"):
        assert part in text


def test_terminal_of_24_lines_shows_what_runs_and_what_changed() -> None:
    lines = shown(sample(), 80, 24)
    assert len(lines) <= 24
    workers = next(at for at, line in enumerate(lines) if line.startswith("worker"))
    assert "requests" in lines[workers]
    assert "lag ms" in lines[workers]
    assert [line.split()[0] for line in lines[workers + 1 : workers + 5]] == ["0", "1", "1", "2"]
    assert "3f9ac21" in lines[workers + 1]
    assert any("confirm by ana@laptop" in line for line in lines)
    assert any("/productionplan" in line or "/health" in line for line in lines)


def test_terminal_says_first_whether_it_is_well_and_why_not() -> None:
    board = sample()
    assert shown(board)[1:3] == ["It serves, with a fault", "  Worker 2 is waiting, exited with 1"]
    board.workers = board.workers[:2]
    board.redis.state, board.redis.reason = "up", ""
    assert shown(board)[1] == "All is well"


def test_lines_that_changes_leave_are_the_routes() -> None:
    board = sample()
    board.workers, board.deployments, board.events = board.workers[:2], [], board.events[:1]
    lines = shown(board, 80, 24)
    assert len(lines) == 24
    assert sum(line.startswith(("/", "(")) for line in lines) == 6


@pytest.mark.parametrize("width", [60, 80, 120])
def test_bars_of_the_terminal_end_with_now_however_narrow_it_is(width: int) -> None:
    board = sample()
    board.series.requests_per_s = [*[0.0] * 119, 8.0]
    (line,) = (line for line in shown(board, width) if line.startswith("requests "))
    assert line.endswith("▁▁█")
    assert "8.0/s" in line, "the greatest says what a whole bar is"


def test_line_of_bars_leaves_blank_what_is_not_known() -> None:
    assert spark([0.0, None, None, 4.0, 8.0]) == "▁  ▅█"
    assert spark([]) == ""


def test_line_of_bars_has_room_for_all_values() -> None:
    assert spark([9.0, 0.0, 0.0, None, None, 4.0, 8.0], 3) == "█▁▇"
    assert spark([None, None, 1.0, 1.0], 2) == " █"
