"""The file of accepted slowdowns: every fault of it is named, and one fault accepts nothing."""

from __future__ import annotations

import math
from datetime import date

import pytest

from benchmarks.gate import accepted, declaration
from benchmarks.gate.accepted import AcceptedFileError, parse
from benchmarks.gate.declaration import metrics_of

TODAY = date(2026, 5, 1)
KNOWN = {"micro/one", "micro/one cpu", "micro/two"}
GOOD = """
[[accepted]]
benchmark = "micro/one"
size = 0.08
reason = "exact now"
expires = 2026-06-01
"""


def faults(text: str) -> list[str]:
    with pytest.raises(AcceptedFileError) as raised:
        parse(text, KNOWN, TODAY)
    return raised.value.faults


def test_good_file() -> None:
    found = parse(GOOD + '[[removed]]\nbenchmark = "micro/old"\nreason = "gone"\n'
                  "expires = 2026-05-01\n", KNOWN, TODAY)  # fmt: skip
    assert found.slowdowns["micro/one"].size == 0.08
    assert found.slowdowns["micro/one"].reason == "exact now"
    assert set(found.removed) == {"micro/old"}


def test_empty_file_accepts_nothing() -> None:
    assert parse("", KNOWN, TODAY) == accepted.Accepted({}, {})


def test_file_of_this_checkout_has_no_fault() -> None:
    ours = declaration.ours()
    known = ours.names() | {metric.name for metric in ours.metrics()}
    parse(accepted.FILE.read_text(), known, date.today())  # noqa: DTZ011 - what expires today


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("0.08", "0", "size must be above 0"),
        ("0.08", "8", "size must be above 0 and at most 1"),
        ("0.08", '"8 %"', "size must be a number"),
        ("0.08", "true", "size must be a number"),
        ("0.08", "nan", "size must be above 0"),
        ('"exact now"', '"  "', "reason is empty"),
        ('"exact now"', "5", "reason is empty"),
        ("2026-06-01", "2026-04-30", "expired on 2026-04-30"),
        ("2026-06-01", "2026-12-24", "more than 90 days ahead"),
        ("2026-06-01", '"2026-06-01"', "without quotes"),
        ("2026-06-01", "2026-06-01T00:00:00", "expires must be a day"),
        ('"micro/one"', '"micro/none"', "there is no benchmark 'micro/none'"),
        ('"micro/one"', "7", "must be a name in quotes"),
        ("size = 0.08\n", "", "size is missing"),
        ("reason", "because", "reason is missing"),
        ("reason", "because", "because is not known"),
        ("[[accepted]]", "[[excused]]", "there is no such table"),
        ("[[accepted]]", "[accepted]", "in double brackets"),
        ("size =", "size", "no TOML"),
    ],
)
def test_fault_is_named(old: str, new: str, fault: str) -> None:
    assert any(fault in each for each in faults(GOOD.replace(old, new)))


def test_last_day_is_still_good() -> None:
    parse(GOOD.replace("2026-06-01", "2026-05-01"), KNOWN, TODAY)


def test_all_faults_are_listed_with_their_places() -> None:
    text = GOOD + GOOD.replace("0.08", "5").replace("2026-06-01", "2020-01-01")
    found = faults(text)
    assert len(found) == 3
    assert all(each.startswith("[[accepted]] 2: ") for each in found)
    assert any("stands there already" in each for each in found)


@pytest.mark.parametrize(
    ("before", "is_spent"),
    [
        (GOOD, True),
        (GOOD.replace("2026-06-01", "2020-01-01"), True),
        (GOOD + "[[accepted]]\n[[removed]]\n", True),
        (GOOD.replace("0.08", "0.05"), False),
        (GOOD.replace("exact now", "once more"), False),
        (GOOD.replace("micro/one", "micro/two"), False),
        ("accepted = 1", False),
        ("no toml", False),
        ("", False),
    ],
)
def test_line_that_the_base_has_too_is_spent(before: str, *, is_spent: bool) -> None:
    found = parse(GOOD, KNOWN, TODAY, before)
    (metric,) = metrics_of(declaration.Benchmark("micro/one", "one"))
    assert found.is_spent(metric) is is_spent
    assert (found.line_for(metric) is None) is is_spent


def test_benchmark_that_is_declared_was_not_removed() -> None:
    text = '[[removed]]\nbenchmark = "micro/two"\nreason = "gone"\nexpires = 2026-05-02\n'
    assert faults(text) == [
        "[[removed]] 1: micro/two is declared; a benchmark that is taken out is not"
    ]


def test_line_of_a_metric_comes_before_that_of_its_benchmark() -> None:
    found = parse(GOOD + GOOD.replace("micro/one", "micro/one cpu").replace("0.08", "0.2"),
                  KNOWN, TODAY)  # fmt: skip
    (one,) = metrics_of(declaration.Benchmark("micro/one", "one"))
    (two,) = metrics_of(declaration.Benchmark("micro/two", "two"))
    assert found.allowance(one) == pytest.approx(math.log(1.2))
    assert found.allowance(two) == 0.0
