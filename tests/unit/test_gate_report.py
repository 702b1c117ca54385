"""Reports: what a reader is told, in Markdown, HTML and JSON; and the history behind them."""

from __future__ import annotations

import math
import random
import re
from datetime import date
from importlib.util import find_spec
from typing import TYPE_CHECKING

import msgspec
import pytest
from click.testing import CliRunner

from benchmarks.gate import history, looks
from benchmarks.gate.accepted import Accepted, Line
from benchmarks.gate.command import command
from benchmarks.gate.history import Change, Entry, HistoryError
from benchmarks.gate.instructions import Counts
from benchmarks.gate.judging import judge
from benchmarks.gate.markdown import markdown
from benchmarks.gate.page import page
from benchmarks.gate.report import Kept, Report, figure, percent, ratio, summary
from benchmarks.gate.rounds import Failure
from benchmarks.gate.verdicts import Outcome
from benchmarks.machine import Machine
from tests.gate_records import DECLARED, record

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from benchmarks.gate.rounds import Record

MACHINE = Machine(
    "2026-05-01 12:00 UTC", "a processor", 2, 4.0, "Linux", "CPython 3.11", {}, "c" * 40
)


def report(found: Record, **more: object) -> Report:
    accepted = more.get("accepted", Accepted())
    assert isinstance(accepted, Accepted)
    judgement = judge(found, DECLARED, accepted, looks.FULL)
    made: dict[str, object] = {
        "record": found, "judgement": judgement, "declared": DECLARED, "machine": MACHINE,
        "minutes": 9.5, **more,
    }  # fmt: skip
    return Report(**made)  # type: ignore[arg-type]


def slower() -> Report:
    return report(
        record({"micro/one cpu": 1.12}),
        suspects={"micro/one": ["abc1234 Calculate <twice>"]},
        counts=Counts("valgrind", {"micro/one": 1000.0}, {"micro/one": 1118.0}),
    )


# ---- forms


def test_summary_names_what_got_slower_and_by_how_much() -> None:
    assert re.fullmatch(r"Slower: micro/one cpu by 1[123]\.\d%\.", summary(slower()))


def test_markdown_tells_size_interval_suspects_and_the_second_witness() -> None:
    text = markdown(slower())
    assert text.startswith("# Benchmarks: FAIL\n")
    assert re.search(r"\*\*micro/one cpu\*\*: 1\d\.\d% slower, between \d+\.\d% and \d+\.\d%", text)
    assert "suspect: abc1234 Calculate <twice>" in text
    assert re.search(r"\| micro/one cpu \| FAIL \|.*\| 1\.118 \|", text)
    assert "A revision beside itself: 0 of 10 comparisons" in text


def test_markdown_of_what_is_not_decided_names_what_would_have_been_seen() -> None:
    text = markdown(report(record({"micro/one cpu": 1.03}, noise={"micro/one cpu": 0.03})))
    assert re.search(r"micro/one cpu: .* a slowdown of \d+\.\d% would have been seen", text)


def test_quarantine_is_counted_and_named() -> None:
    made = report(record(noise={"micro/one cpu": 0.3, "http/page p50": 0.3}, rounds=20))
    told = "3 of 5 metrics pass, 2 in quarantine (micro/one cpu, http/page p50)."
    assert summary(made) == f"Nothing got slower: {told}"
    text = markdown(made)
    assert told in text
    assert "## In quarantine: 2," in text
    assert "- http/page p50: too noisy" in text
    assert told in page(made).decode()


def test_markdown_of_errors_lists_them_first() -> None:
    made = record()
    failed = msgspec.structs.replace(made, failures=[Failure("micro/one", "head", "ouch")])
    text = markdown(report(failed))
    assert text.index("micro/one failed on the head: ouch") < text.index("Every metric")


def test_page_needs_nothing_from_elsewhere_and_escapes() -> None:
    text = page(slower()).decode()
    assert text.count("<svg") == 2
    assert "Calculate &lt;twice&gt;" in text
    assert not re.search(r"""(?:src|href)=["'](?!#)""", text.replace("xlink:href", "href"))
    assert not re.search(r"@import|url\((?!#)", text)
    assert "Benchmarks: FAIL" in text


@pytest.mark.parametrize(
    "made",
    [
        record(rounds=0),
        record(rounds=3),
        record(rounds=20, noise={"micro/one cpu": 0.5}),
        record({"micro/control cpu": 1.5}),
    ],
    ids=["none", "few", "noisy", "invalid"],
)
def test_every_outcome_can_be_told_in_every_form(made: Record) -> None:
    found = report(made)
    assert str(found.judgement.outcome) in markdown(found)
    assert str(found.judgement.outcome) in page(found).decode()
    assert msgspec.json.decode(found.json())["outcome"] == str(found.judgement.outcome)


def test_equal_records_give_equal_pages() -> None:
    assert page(slower()) == page(slower())


def test_json_has_all_that_is_needed_to_judge_again() -> None:
    made = slower()
    kept = msgspec.json.decode(made.json(), type=Kept)
    assert kept.record == made.record
    assert judge(kept.record, DECLARED, Accepted(), looks.FULL).outcome is Outcome.FAIL
    assert msgspec.json.decode(made.json())["exit_code"] == 1


def replayed(kept: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command, ["--replay", str(kept), *arguments])


def test_replay_judges_a_kept_report_and_exits_by_its_outcome(tmp_path: Path) -> None:
    kept, again = tmp_path / "report.json", tmp_path / "again"
    kept.write_bytes(slower().json())
    done = replayed(kept, "--output", str(again))
    assert done.exit_code == Outcome.FAIL.exit_code, done.output
    assert "Slower: micro/one cpu" in done.output
    assert "suspect for micro/one: abc1234" in done.output
    assert (again / "report.html").stat().st_size > 10_000
    assert (again / "report.json").read_bytes() == kept.read_bytes()


def test_replay_accepts_what_the_gate_accepted(tmp_path: Path) -> None:
    meant = Line("micro/one", 0.2, "exact now", date(2030, 1, 1))
    gone = Line("micro/gone", 0, "its code is gone", date(2030, 1, 1))
    accepted = Accepted({"micro/one": meant}, {"micro/gone": gone})
    made = msgspec.structs.replace(record({"micro/one cpu": 1.12}), missing=["micro/gone"])
    kept = tmp_path / "report.json"
    kept.write_bytes(report(made, accepted=accepted).json())
    done = replayed(kept, "--output", str(tmp_path / "again"))
    assert done.exit_code == 0, done.output
    assert "exact now" in (tmp_path / "again" / "report.md").read_text()


def test_replay_overwrites_nothing_and_is_no_gate_of_a_history(tmp_path: Path) -> None:
    kept, history_file = tmp_path / "report.json", tmp_path / "history.jsonl"
    kept.write_bytes(slower().json())
    assert "would overwrite" in replayed(kept, "--output", str(tmp_path)).output
    again = ("--output", str(tmp_path / "again"))
    done = replayed(kept, *again, "--history", str(history_file))
    assert "leave --history out" in done.output
    assert done.exit_code == 2
    assert kept.read_bytes() == slower().json()
    assert not history_file.exists()


def test_gate_that_cannot_be_run_leaves_a_report_that_says_so(tmp_path: Path) -> None:
    for name in ("report.json", "report.md", "report.html"):
        (tmp_path / name).write_text("Benchmarks: PASS")
    done = CliRunner().invoke(command, ["--base", "no/such/commit", "--output", str(tmp_path)])
    assert done.exit_code == 3, done.output
    text = (tmp_path / "report.md").read_text()
    assert text.startswith("# Benchmarks: ERROR\n")
    assert "'no/such/commit' names no commit here (git rev-parse failed: fatal:" in text
    assert msgspec.json.decode((tmp_path / "report.json").read_bytes())["exit_code"] == 3
    assert not (tmp_path / "report.html").exists()


def test_commit_beside_itself_is_wrong_usage(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, ["--base", "HEAD", "--output", str(tmp_path)])
    assert done.exit_code == 2, done.output
    assert "are one commit" in done.output


def test_change_of_what_judges_it_is_told() -> None:
    files = [f"benchmarks/{number}.py" for number in range(14)]
    made = report(msgspec.structs.replace(record(), altered=files))
    assert "The change alters 14 files of what measures and judges it" in summary(made)
    text = markdown(made)
    assert "- `benchmarks/0.py`" in text
    assert "and 2 more" in text
    assert "benchmarks/0.py" in page(made).decode()


def test_environments_that_differ_are_told_with_what_they_do_to_a_control() -> None:
    moved = record({"micro/control cpu": 1.1, "micro/one cpu": 1.3})
    made = report(msgspec.structs.replace(moved, environments_differ=True))
    assert made.judgement.outcome is Outcome.FAIL
    assert re.search(r"environments differ as well: micro/control cpu by 1?\d\.\d%", summary(made))


def test_replay_of_a_figure_that_no_clock_gives_is_refused(tmp_path: Path) -> None:
    made = msgspec.json.decode(slower().json())
    made["record"]["rounds"][3]["figures"]["micro/one cpu"][2] = 0
    kept = tmp_path / "report.json"
    kept.write_bytes(msgspec.json.encode(made))
    arguments = ["--replay", str(kept), "--output", str(tmp_path / "again")]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 2, done.output
    assert "is no report of a gate" in done.output
    assert "> 0" in done.output


def test_folder_that_takes_no_report_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    arguments = ["--base", "no/such/commit", "--output", str(tmp_path / "file" / "gate")]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 2, done.output
    assert "nothing can be written into" in done.output


def test_what_nobody_has_foreseen_is_no_slowdown(tmp_path: Path) -> None:
    kept, again = tmp_path / "report.json", tmp_path / "again"
    kept.write_bytes(slower().json())
    (again / "report.html").mkdir(parents=True)
    done = CliRunner().invoke(command, ["--replay", str(kept), "--output", str(again)])
    assert done.exit_code == 3
    assert "Traceback" in done.output
    assert "a fault of the benchmarks themselves: IsADirectoryError" in done.output


def test_figures_are_told_in_the_unit_in_which_they_are_read() -> None:
    assert figure(1.234e-5, "s") == "12.3 µs"
    assert figure(0.25, "s") == "250 ms"
    assert figure(12345.6, "1/s") == "12,346/s"
    assert ratio(math.log(1.1)) == "1.100"
    assert (ratio(-math.inf), ratio(math.inf)) == ("0", "∞")
    assert percent(math.log(1.034)) == "3.4%"
    assert percent(math.inf) == "no size"


# ---- history


def entries(levels: list[float]) -> list[Entry]:
    rng = random.Random(1)
    return [
        Entry(
            at=f"2026-05-{n + 1:02}", commit=f"{n:040}", base=f"{n - 1:040}", fingerprint="f",
            environment={}, outcome="PASS",
            levels={
                "micro/one cpu": level * rng.gauss(1, 0.005),
                "micro/control cpu": 1.0,
            },
            ratios={}, self_tests=10, moved=0,
        )
        for n, level in enumerate(levels)
    ]  # fmt: skip


def test_entry_has_levels_ratios_and_a_fingerprint(tmp_path: Path) -> None:
    made = slower()
    added = history.entry(made.record, made.judgement, DECLARED, MACHINE)
    assert added.ratios["micro/one cpu"] == pytest.approx(1.12, abs=0.02)
    assert added.levels["micro/one cpu"] == pytest.approx(0.00112, abs=0.00003)
    assert added.outcome == "FAIL"
    file = tmp_path / "history.jsonl"
    assert history.read(file) == []
    history.append(file, added)
    history.append(file, added)
    assert history.read(file) == [added, added]


def test_history_that_cannot_be_used_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text("no json\n")
    arguments = ["--base", "HEAD", "--history", str(file), "--output", str(tmp_path / "gate")]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 3
    assert "line 1" in done.output
    if find_spec("ruptures") is None:
        with pytest.raises(HistoryError, match="ruptures"):
            history.check(tmp_path / "none")


def test_broken_line_of_a_history_is_named(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text("{}\n")
    with pytest.raises(HistoryError, match="line 1"):
        history.read(file)


def test_fingerprint_tells_machines_apart() -> None:
    one = history.fingerprint(history.environment_of(MACHINE))
    faster = Machine("", "another", 2, 4.0, "Linux", "CPython 3.11", {}, "")
    later = Machine("2027", "a processor", 2, 4.0, "Linux", "CPython 3.11", {}, "another commit")
    assert history.fingerprint(history.environment_of(faster)) != one
    assert history.fingerprint(history.environment_of(later)) == one


def test_only_valid_gates_of_one_environment_are_compared() -> None:
    here, there = entries([1.0, 1.0]), entries([2.0])
    other = [msgspec.structs.replace(e, fingerprint="g") for e in there]
    invalid = [msgspec.structs.replace(e, outcome="INVALID") for e in here]
    assert history.comparable([*other, *invalid, *here]) == here
    assert history.comparable([]) == []


def test_levels_are_those_beside_the_control() -> None:
    (metric,) = [m for m in DECLARED.metrics() if m.name == "micro/one cpu"]
    one = entries([1.0])[0]
    slow_day = msgspec.structs.replace(one, levels={n: 3 * x for n, x in one.levels.items()})
    assert history.series([one, slow_day], metric, DECLARED)[0] == pytest.approx(
        history.series([one, slow_day], metric, DECLARED)[1]
    )
    (page_rate,) = [m for m in DECLARED.metrics() if m.name == "http/page throughput"]
    assert history.series([one], page_rate, DECLARED) == [None]


def test_change_of_level_is_found_where_it_is() -> None:
    pytest.importorskip("ruptures")
    found = history.changes(entries([1.0] * 10 + [1.1] * 10), DECLARED)
    assert [(each.metric, each.commit) for each in found] == [("micro/one cpu", f"{10:040}")]
    assert found[0].ratio == pytest.approx(1.1, abs=0.01)
    assert history.changes(entries([1.0] * 20), DECLARED) == []
    assert history.changes(entries([1.0] * 3 + [2.0] * 3), DECLARED) == [], "too few to say"


def test_page_draws_a_history_and_its_changes() -> None:
    of = entries([1.0] * 6 + [1.2] * 6)
    change = Change("micro/one cpu", f"{6:040}", "2026-05-07", 1.2)
    text = page(report(record(), history=of, changes=[change], entries=of)).decode()
    assert text.count("<svg") == 3
    assert "1.200 of what it was" in text
    assert "0 of 120 comparisons" in text


def test_gate_without_a_base_is_wrong_usage() -> None:
    done = CliRunner().invoke(command, [])
    assert done.exit_code == 2
    assert "--base" in done.output
