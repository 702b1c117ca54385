"""The calibration: what it injects, what it keeps, what it makes of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import psutil
import pytest
from click.testing import CliRunner

from benchmarks.calibration import command as command_module
from benchmarks.calibration import lanes, lines, rules, summary
from benchmarks.calibration.busy import busy
from benchmarks.calibration.command import command
from benchmarks.calibration.injections import INJECTIONS, inject, injected, level_s, turn_s
from benchmarks.calibration.lines import Case, Line, LinesError
from benchmarks.calibration.runs import benchmarks_of
from benchmarks.calibration.summary import again, is_the_same_again, rate
from benchmarks.gate import declaration
from benchmarks.gate.rounds import Figures
from tests.gate_records import DECLARED, record
from tests.support import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", list(INJECTIONS))
def test_injection_leaves_code_that_compiles_and_does_what_it_did(
    name: str, tmp_path: Path
) -> None:
    injection = INJECTIONS[name]
    file = tmp_path / injection.file
    file.parent.mkdir(parents=True)
    file.write_text((ROOT / injection.file).read_text())
    inject(injection, tmp_path, {injection.of: 0.001})
    text = file.read_text()
    compile(text, injection.file, "exec")
    assert text.startswith((ROOT / injection.file).read_text())
    assert injection.concerned.isdisjoint(injection.beside)
    assert injection.benchmarks <= declaration.ours().names()


def test_level_of_work_is_as_many_turns_of_the_loop_as_it_takes() -> None:
    def work() -> None:
        for _ in range(60_000):
            pass

    assert level_s(work) / turn_s() == pytest.approx(60_000, rel=0.25)


def test_injection_without_a_level_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="micro/dispatch cpu"):
        inject(INJECTIONS["cpu 10%"], tmp_path, {})


def test_other_rules_say_what_they_say() -> None:
    metrics = DECLARED.metrics()
    large = rules.red(record({"micro/one cpu": 1.5}), metrics)
    assert all("micro/one cpu" in found for found in large.values())
    small = rules.red(record({"micro/one cpu": 1.04}), metrics)
    assert "micro/one cpu" in small["2 %"]
    assert small["asv"] == []
    assert all("control" not in name for found in large.values() for name in found)


def test_rates_have_exact_intervals() -> None:
    assert rate(29, 29) == "29 of 29 (88.1% to 100.0%)"
    assert rate(0, 60).startswith("0 of 60 (0.0% to 6.0%)")
    assert rate(0, 0) == "no runs"


def test_busy_process_ends_with_its_block() -> None:
    with busy(0) as pid:
        process = psutil.Process(pid)
        assert process.is_running()
    assert not process.is_running()


# ---- lines


def line(part: str = "aa", injection: str = "", number: int = 0, **changed: object) -> Line:
    """A line as of a gate that found nothing."""
    return msgspec.convert(
        {
            "case": {"part": part, "injection": injection, "number": number},
            "commit": "c" * 40, "at": "2026-05-01 12:00", "cpus": 1, "load": 2.0,
            "outcome": "PASS", "rounds": 2, "seconds": 30.0, "red": [], "open": 0,
            "resolutions": {"micro/json cpu": 1.05}, "estimates": {"micro/json cpu": 1.01},
            "others": {"asv": []}, "moved": 0, "self_tests": 4,
            "figures": {"micro/json cpu": [1e-7, [[1000, 1001, 1002, 1003]] * 2]},
            **changed,
        },
        Line,
    )  # fmt: skip


def test_figures_are_kept_to_four_digits() -> None:
    kept = lines.scaled([Figures(1.23456e-5, 1e-5, 2e-5, 1.1e-4)])
    assert kept.rounds == [(1235, 1000, 2000, 11000)]
    assert pytest.approx(1.1e-4) == kept.figures()[0].B2


def test_metric_that_was_decided_early_has_the_first_rounds() -> None:
    made = line(rounds=2, figures={
        "micro/json cpu": [1.0, [[1, 1, 1, 1]] * 2], "micro/parse cpu": [1.0, [[2, 2, 2, 2]]],
    })  # fmt: skip
    first, second = lines.record_of(made).rounds
    assert set(first.figures) == {"micro/json cpu", "micro/parse cpu"}
    assert set(second.figures) == {"micro/json cpu"}


def test_lines_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    made = [line(), line(number=1), line("injected", "cpu 10%", red=["micro/dispatch cpu"])]
    for each in made:
        lines.append(file, each)
    assert lines.read(file) == made
    assert lines.read(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "cannot be read"),
        (b"", "is empty"),
        (b"{}\n", "line 1 is no gate of a calibration"),
        (b"\xff\n", "line 1 is no gate of a calibration"),
        (2 * (msgspec.json.encode(line()) + b"\n"), "line 2: aa run 0 stands there twice"),
        (msgspec.json.encode(line("injected", "cpu 11%")), "line 1: there is no injection"),
        (msgspec.json.encode(line("injected")), "line 1: there is no injection"),
        (msgspec.json.encode(line()) + b"\n" + msgspec.json.encode(line())[:-9], "line 2 is no"),
    ],
)
def test_fault_of_a_file_is_named(content: bytes | None, fault: str, tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(LinesError, match=fault):
        lines.read(file, must_be=True)
    done = CliRunner().invoke(command, ["--summary", "--lines", str(file)])
    assert done.exit_code == 3
    assert fault in done.output


# ---- what is run


def test_gates_take_turns_until_every_micro_benchmark_was_there() -> None:
    ours = declaration.ours()
    of = [benchmarks_of(Case("aa", "", number)) for number in range(18)]
    assert of[0] == of[9]
    assert all(names <= ours.names() for names in of)
    products = {each.name for each in ours.of_kind("micro") if not each.control}
    assert products <= set().union(*of)
    assert benchmarks_of(Case("busy", "", 1)) == {"http/home"}
    for name, injection in INJECTIONS.items():
        assert benchmarks_of(Case("injected", name, 1)) == injection.benchmarks


def test_injection_is_taken_out_again(tmp_path: Path) -> None:
    injection = INJECTIONS["cpu 10%"]
    file = tmp_path / injection.file
    file.parent.mkdir(parents=True)
    file.write_text("text")
    with injected(injection, tmp_path, {injection.of: 0.001}):
        assert file.read_text() != "text"
    assert file.read_text() == "text"
    with pytest.raises(ZeroDivisionError), injected(injection, tmp_path, {injection.of: 0.001}):
        raise ZeroDivisionError
    assert file.read_text() == "text"


def test_each_lane_has_a_cpu() -> None:
    allowed = os.sched_getaffinity(0)
    assert lanes.cpus_of(1) == [None]
    assert set(lanes.cpus_of(len(allowed))) <= {*allowed, None}
    with pytest.raises(ValueError, match="lanes take"):
        lanes.cpus_of(len(allowed) + 1)


# ---- summary


def test_summary_counts_what_was_called_slower() -> None:
    red = ["micro/json cpu"]
    found = summary.sections(
        [
            *(line(number=n) for n in range(58)),
            line(number=58, red=red),
            line(number=59, controls=["micro/control cpu"]),
            line("injected", "cpu 10%", 0, red=["micro/dispatch cpu"]),
            line("injected", "cpu 10%", 1, red=[*red, "micro/dispatch cpu"]),
        ]
    )
    quiet, _, slowed = found
    assert quiet.tables[0].rows[0] == ("this gate", rate(1, 60))
    assert any("False alarms: 58: micro/json cpu." in note for note in quiet.notes)
    (row,) = slowed.tables[0].rows
    assert row[2:] == (rate(2, 2), rate(1, 2))


def test_verdicts_that_are_committed_follow_from_their_rounds() -> None:
    """Of every fifth line; `./run bench calibrate --summary` does all, which takes longer."""
    kept = lines.read(command_module.COMMITTED, must_be=True)[::5]
    differing = [str(each.case) for each in kept if not is_the_same_again(each, again(each))]
    assert differing == []


def test_verdict_that_does_not_follow_from_its_rounds_is_noticed() -> None:
    made = line(red=["micro/json cpu"], outcome="FAIL")
    assert not is_the_same_again(made, again(made))
