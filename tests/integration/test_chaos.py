"""The fault suite: its options, its verdicts on made-up records, and a fault end to end."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
from click.testing import CliRunner

from benchmarks.chaos import suite
from benchmarks.chaos.command import command
from benchmarks.chaos.faults import FAULTS, kills, redis, slow_clients, soak
from benchmarks.chaos.load import BY_NAME, Draw, Load
from benchmarks.chaos.record import Record, Request
from benchmarks.chaos.releases import Change
from benchmarks.chaos.site import SiteError, site
from benchmarks.chaos.slow import Slow
from benchmarks.chaos.traffic import ClientError
from benchmarks.chaos.verdicts import (
    NotMeasurableError,
    Outcome,
    Verdict,
    none_failed,
    some_failed,
    within,
)
from benchmarks.chaos.wire import parse
from pipeline import jobs as table
from tests.support import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unmeasured  # faults are tried on copies of the code


def request(number: int = 0, **facts: Any) -> Request:  # noqa: ANN401
    """A request that was answered well, but for what is said otherwise."""
    at = number / 100
    known: dict[str, Any] = {
        "kind": "health", "idempotent": True, "kept": False, "intended": at, "sent": at,
        "ended": at + 0.002, "status": 200,
    }  # fmt: skip
    return Request(number, **(known | facts))


def kept(verdicts: list[Verdict]) -> list[bool]:
    return [verdict.kept for verdict in verdicts]


# ---- the command


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--fault", "earthquake"), "'earthquake' is none of upgrades, "),
        (("--longer",), "No such option"),
        (("--json", "/"), "is a directory"),
        (("--output", __file__), "is a file"),
    ],
)
def test_wrong_usage_is_told(arguments: tuple[str, ...], words: str) -> None:
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 2
    assert words in done.output


def test_faults_are_listed() -> None:
    done = CliRunner().invoke(command, ["--list"])
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.output.splitlines()] == list(FAULTS)


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome([Verdict("a", "b", kept=True)]), suite.KEPT),
        (Outcome([Verdict("a", "b", kept=True), Verdict("c", "d", kept=False)]), suite.BROKEN),
        (NotMeasurableError("no such thing here"), suite.NOTHING_MEASURED),
        (SiteError("the stack does not come up"), suite.BROKEN),
        (ClientError("the client failed"), suite.BROKEN),
        (RuntimeError("unforeseen"), suite.BROKEN),
    ],
)
def test_exit_code_says_how_it_went(
    monkeypatch: pytest.MonkeyPatch, outcome: Outcome | Exception, code: int
) -> None:
    def do(_is_long: bool) -> Outcome:  # noqa: FBT001
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    name = "restart"
    monkeypatch.setitem(FAULTS, name, type(FAULTS[name])("A fault", do))
    assert CliRunner().invoke(command, ["--fault", name]).exit_code == code


def test_one_that_was_not_measured_is_told_apart_from_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks(_is_long: bool) -> Outcome:  # noqa: FBT001
        raise NotMeasurableError("no such thing here")

    def keeps(_is_long: bool) -> Outcome:  # noqa: FBT001
        return Outcome([Verdict("a", "b", kept=True)])

    kind = type(FAULTS["restart"])
    monkeypatch.setitem(FAULTS, "restart", kind("One", lacks))
    monkeypatch.setitem(FAULTS, "upgrades", kind("Another", keeps))
    both = CliRunner().invoke(command, ["--fault", "restart", "--fault", "upgrades"])
    assert both.exit_code == suite.NOT_MEASURED
    assert "no such thing here" in both.output


def test_good_release_that_does_not_come_up_is_a_broken_promise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def do(_is_long: bool) -> Outcome:  # noqa: FBT001
        with site(broken):
            pytest.fail("it came up")

    broken = Change("app/cli.py", "\nimport no_such_module\n")
    monkeypatch.setitem(FAULTS, "restart", type(FAULTS["restart"])("A fault", do))
    found = CliRunner().invoke(command, ["--fault", "restart"])
    assert found.exit_code == suite.BROKEN
    assert "SiteError" in found.output


def test_job_takes_only_a_lack_of_the_machine_for_neutral() -> None:
    for workflow, name in (("ci", "faults"), ("nightly", "faults-long")):
        (job,) = table.chosen(table.read(workflow), [name])
        assert set(job.neutral) == {suite.NOT_MEASURED}


@pytest.mark.parametrize(
    ("first", "times"),
    [
        ([within("soon", [2.0], 1.0)], 2),
        ([within("soon", [0.5], 1.0)], 1),
        ([within("soon", [2.0], 1.0), Verdict("no request fails", "1 failed", kept=False)], 1),
        ([within("soon", [], 1.0)], 1),
    ],
)
def test_only_what_was_merely_slow_is_done_again(
    monkeypatch: pytest.MonkeyPatch, first: list[Verdict], times: int
) -> None:
    outcomes = [Outcome(first), Outcome([Verdict("soon", "0.1 s", kept=True)])]

    def do(_is_long: bool) -> Outcome:  # noqa: FBT001
        return outcomes.pop(0)

    monkeypatch.setitem(FAULTS, "restart", type(FAULTS["restart"])("A fault", do))
    found = CliRunner().invoke(command, ["--fault", "restart", "--retry-slow"])
    assert len(outcomes) == 2 - times
    assert found.exit_code == (suite.KEPT if times == 2 or first[0].kept else suite.BROKEN)
    assert ("Done a second time" in found.output) is (times == 2)


# ---- verdicts on records that are made up


def test_one_failed_request_breaks_the_promise() -> None:
    good = [request(n, kept=n % 2 == 0, idempotent=n % 3 > 0, kind="hold") for n in range(200)]
    assert kept(none_failed(Record(good))) == [True, True]
    bad = request(200, status=502, trouble="status 502")
    verdicts = none_failed(Record([*good, bad]))
    assert kept(verdicts) == [False, True]
    assert "1 x health: status 502" in verdicts[0].figure
    assert not none_failed(Record(good), least=201)[1].kept, "too few say nothing"


def test_control_that_sees_no_failure_is_a_broken_promise() -> None:
    assert not some_failed(Record([request()]), "it").kept
    assert some_failed(Record([request(trouble="closed before its answer", status=0)]), "it").kept


def test_late_and_missing_times_break_the_promise() -> None:
    assert within("soon", [0.2, 0.9], 1.0).kept
    assert not within("soon", [0.2, 1.1], 1.0).kept
    assert not within("soon", [], 1.0).kept


def test_kill_excuses_only_what_was_under_way_at_it_and_may_not_be_sent_again() -> None:
    broken: dict[str, Any] = {"status": 0, "trouble": "closed before its answer"}
    get = request(sent=4.9, intended=4.9, ended=5.1, **broken)
    post = request(sent=4.9, intended=4.9, ended=5.1, idempotent=False, **broken)
    later = request(sent=6, intended=6, ended=6.1, idempotent=False, **broken)
    elsewhere = request(sent=4.9, intended=4.9, ended=5.1, idempotent=False, slot=1, **broken)
    assert kept(kills.judge_kills(Record([post]), [(0, 5.0)])) == [True, True]
    assert kept(kills.judge_kills(Record([get]), [(0, 5.0)])) == [False, True]
    assert kept(kills.judge_kills(Record([later]), [(0, 5.0)])) == [True, False]
    assert kept(kills.judge_kills(Record([elsewhere]), [(0, 5.0)])) == [True, False]


def test_lost_and_repeated_visits_are_found() -> None:
    def pages(*visits: int) -> Record:
        return Record([request(kind="page", visits=number) for number in visits])

    assert kept(redis.judge_counter(pages(1, 2, 3), 3)) == [True, True, True]
    assert kept(redis.judge_counter(pages(1, 2, 3), 2)) == [False, True, True]
    assert kept(redis.judge_counter(pages(1, 2, 2), 3)) == [True, False, True]
    assert kept(redis.judge_counter(pages(1, 2, 3), 4)) == [True, True, False]


def test_slow_client_that_is_never_cut_off_and_memory_without_bound_are_found() -> None:
    cut = [slow_client(3.0), slow_client(4.0)]
    assert kept(slow_clients.judge(cut, 1000)) == [True, True]
    assert kept(slow_clients.judge([*cut, slow_client(None)], 1000)) == [False, True]
    assert kept(slow_clients.judge([slow_client(60.0)], 1000)) == [False, True]
    assert kept(slow_clients.judge(cut, 1 << 30)) == [True, False]


def slow_client(cut_after_s: float | None) -> Slow:
    with socket.socket() as connection:
        return Slow("a begun head", connection, 0.0, cut_after_s=cut_after_s)


def test_leak_is_told_from_noise() -> None:
    random = np.random.default_rng(1)
    noise = random.normal(0, 1 << 20, 300)
    times = np.arange(300.0)
    flat = [(at, (200 << 20) + n) for at, n in zip(times, noise, strict=True)]
    leak = [(at, size + at * (1 << 17)) for at, size in flat]
    assert soak.judge(soak.trend(flat)).kept
    assert not soak.judge(soak.trend(leak)).kept


# ---- the client's parts


def test_answer_is_whole_with_its_length_or_its_last_chunk() -> None:
    sized = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    assert parse(sized[:-1]) is None
    answer = parse(sized)
    assert answer is not None
    assert (answer.status, answer.body, answer.last) == (200, b"abc", False)
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    )
    assert all(parse(chunked[:size]) is None for size in range(len(chunked)))
    answer = parse(chunked)
    assert answer is not None
    assert (answer.body, answer.last) == (b"abc", True)


def test_half_go_over_kept_connections_and_every_kind_is_sent() -> None:
    draw = Draw(Load(port=1, sockets=["/a"], rate_hz=1, most_s=1, kinds=list(BY_NAME)))
    drawn = [draw.next() for _ in range(5000)]
    assert {kind.name for kind, _ in drawn} == set(BY_NAME)
    assert 0.45 < sum(is_kept for _, is_kept in drawn) / len(drawn) < 0.55
    for kind in BY_NAME.values():
        assert len(kind.pieces()) >= kind.parts


# ---- end to end


def test_control_shows_failures_end_to_end_and_nothing_is_left(tmp_path: Path) -> None:
    found, report, pictures = tmp_path / "found.json", tmp_path / "found.md", tmp_path / "pictures"
    arguments = ("--json", str(found), "--markdown", str(report), "--output", str(pictures))
    seen: set[psutil.Process] = set()
    with (tmp_path / "said").open("wb") as output, subprocess.Popen(
        (sys.executable, "-m", "benchmarks", "chaos", "--fault", "restart", *arguments),
        cwd=ROOT, stdout=output, stderr=output,
    ) as process:  # fmt: skip
        family = psutil.Process(process.pid)
        while process.poll() is None:
            seen.update(family.children(recursive=True))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
    said = (tmp_path / "said").read_text()
    assert process.returncode == 0, said
    assert not [one for one in seen if one.is_running() and one.status() != "zombie"]
    figures = json.loads(found.read_bytes())
    assert figures["restart"]["figures"]["requests"]["failed"] > 0
    assert "| control: supervisorctl restart fails requests" in report.read_text()
    assert (pictures / "restart.svg").stat().st_size > 10_000
