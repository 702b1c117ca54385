"""Verdicts: what a gate says of rounds whose truth is known."""

from __future__ import annotations

import math
import re
from datetime import date

import msgspec
import pytest

from benchmarks.gate import declaration, looks, schedule
from benchmarks.gate.accepted import Accepted, Line
from benchmarks.gate.declaration import Declaration, metrics_of
from benchmarks.gate.judging import judge
from benchmarks.gate.rounds import Failure, Figures, Record, Round, differences, same_revision
from benchmarks.gate.verdicts import Finding, Judgement, Outcome, Verdict
from tests.gate_records import DECLARED, record

SOON = date(2030, 1, 1)


def judged(found: Record, accepted: Accepted | None = None) -> Judgement:
    return judge(found, DECLARED, accepted or Accepted(), looks.FULL)


def finding(judgement: Judgement, metric: str) -> Finding:
    (found,) = [each for each in judgement.findings if each.metric.name == metric]
    return found


# ---- outcomes


def test_equal_revisions_pass() -> None:
    found = judged(record())
    assert found.outcome is Outcome.PASS
    assert {each.verdict for each in found.findings if each.metric.primary} == {Verdict.PASS}
    assert found.look == looks.FULL[0]


def test_slower_metric_fails_and_is_the_only_one_named() -> None:
    found = judged(record({"micro/one cpu": 1.10}))
    assert found.outcome is Outcome.FAIL
    assert [each.metric.name for each in found.of(Verdict.FAIL)] == ["micro/one cpu"]
    slower = finding(found, "micro/one cpu")
    assert math.exp(slower.estimate) == pytest.approx(1.10, abs=0.02)
    assert slower.low < math.log(1.10) < slower.high


def test_lower_throughput_is_slower() -> None:
    found = judged(record({"http/page throughput": 1.2}))
    assert [each.metric.name for each in found.of(Verdict.FAIL)] == ["http/page throughput"]


def test_faster_metric_passes() -> None:
    found = judged(record({"micro/one cpu": 0.5}))
    assert found.outcome is Outcome.PASS
    assert finding(found, "micro/one cpu").estimate == pytest.approx(math.log(0.5), abs=0.02)


def test_slowdown_below_delta_is_no_failure() -> None:
    assert Verdict.FAIL not in {
        each.verdict for each in judged(record({"micro/one cpu": 1.02})).findings
    }


def test_p99_is_shown_and_decides_nothing() -> None:
    found = judged(record({"http/page p99": 2.0}))
    assert found.outcome is Outcome.PASS
    assert finding(found, "http/page p99").verdict is Verdict.SHOWN


def test_noise_leaves_open_and_names_what_would_have_been_seen() -> None:
    found = judged(record({"micro/one cpu": 1.03}, noise={"micro/one cpu": 0.03}))
    assert found.outcome is Outcome.INCONCLUSIVE
    left = finding(found, "micro/one cpu")
    assert left.verdict is Verdict.INCONCLUSIVE
    assert math.log(1.03) < left.resolution < math.log(1.2)
    assert found.undecided() == {"micro/one"}


def test_more_noise_is_a_coarser_resolution() -> None:
    resolutions = [
        finding(judged(record(noise={"micro/one cpu": spread})), "micro/one cpu").resolution
        for spread in (0.005, 0.02, 0.05)
    ]
    assert resolutions == sorted(resolutions)
    assert resolutions[0] < resolutions[-1]


def test_slowdown_that_only_the_shared_risk_holds_back_is_told() -> None:
    effects, noise = {"micro/one cpu": 1.05}, {"micro/one cpu": 0.02}
    left = finding(judged(record(effects, noise=noise, seed=3)), "micro/one cpu")
    assert left.low > left.delta
    assert "measured alone" in left.reason


def test_second_look_decides_what_the_first_left_open() -> None:
    effects, noise = {"micro/one cpu": 1.05}, {"micro/one cpu": 0.02}
    first = judged(record(effects, noise=noise, rounds=12, seed=3))
    second = judged(record(effects, noise=noise, rounds=20, seed=3))
    assert finding(first, "micro/one cpu").verdict is Verdict.INCONCLUSIVE
    assert finding(second, "micro/one cpu").verdict is Verdict.FAIL
    assert second.look == looks.FULL[1]


def test_what_the_first_look_decided_stays_decided() -> None:
    """Else rounds after a pass would be a third chance to fail that nobody paid for."""
    quiet, slow = record(rounds=12), record({"micro/one cpu": 1.5}, rounds=8)
    found = judged(msgspec.structs.replace(quiet, rounds=[*quiet.rounds, *slow.rounds]))
    assert finding(found, "micro/one cpu").verdict is Verdict.PASS
    assert finding(found, "micro/one cpu").rounds == 12


def test_too_few_rounds_are_an_error() -> None:
    """Were they neutral, whatever makes a start slow would switch the gate off."""
    found = judged(record({"micro/one cpu": 2.0}, rounds=11))
    assert found.outcome is Outcome.ERROR
    assert found.look is None
    assert "micro/one cpu" in found.errors[0]
    assert "11 of the 12 rounds" in found.errors[0]
    assert (
        finding(found, "micro/one cpu").reason
        == "measured in 11 of the 12 rounds that a verdict takes"
    )


def test_metric_that_rounds_lack_is_an_error_though_others_have_enough() -> None:
    made = record()
    figures = {n: f for n, f in made.rounds[0].figures.items() if n != "http/page p50"}
    first = msgspec.structs.replace(made.rounds[0], figures=figures)
    found = judged(msgspec.structs.replace(made, rounds=[first, *made.rounds[1:]]))
    assert found.outcome is Outcome.ERROR
    assert [("http/page p50" in each, "cpu" in each) for each in found.errors] == [(True, False)]


def test_no_rounds_at_all_are_an_error() -> None:
    found = judged(record(rounds=0))
    assert found.outcome is Outcome.ERROR
    assert math.isnan(finding(found, "micro/one cpu").estimate)


# ---- quarantine, controls, a revision beside itself


def test_noisy_metric_is_in_quarantine_and_does_not_hold_up_the_rest() -> None:
    found = judged(record(noise={"micro/one cpu": 0.2}, rounds=20))
    assert finding(found, "micro/one cpu").verdict is Verdict.QUARANTINED
    assert "too noisy" in finding(found, "micro/one cpu").reason
    assert found.outcome is Outcome.PASS


def test_noise_does_not_excuse_an_interval_that_lies_above_delta() -> None:
    effects, noise = {"http/page throughput": 1.2}, {"http/page throughput": 0.12}
    blocked = 0
    for seed in range(20):
        found = judged(record(effects, noise=noise, rounds=20, seed=seed))
        of = finding(found, "http/page throughput")
        if of.low > of.metric.delta:
            assert found.outcome in {Outcome.INCONCLUSIVE, Outcome.FAIL}
            blocked += of.verdict is Verdict.INCONCLUSIVE and "too noisy" in of.reason
    assert blocked > 0


def test_quarantine_hides_no_large_slowdown() -> None:
    found = judged(record({"micro/one cpu": 4.0}, noise={"micro/one cpu": 0.2}, rounds=20))
    assert found.outcome is Outcome.FAIL


def test_one_disturbed_round_of_the_first_look_only_asks_for_more() -> None:
    """Quarantine after twelve rounds would hide a tenth that twenty rounds show."""
    made = record({"micro/one cpu": 1.1}, rounds=20)
    spoilt = made.rounds[5].figures["micro/one cpu"]
    slow = msgspec.structs.replace(spoilt, A1=1.6 * spoilt.A1, A2=1.5 * spoilt.A2)
    figures = {**made.rounds[5].figures, "micro/one cpu": slow}
    rounds = list(made.rounds)
    rounds[5] = msgspec.structs.replace(rounds[5], figures=figures)
    first = judged(msgspec.structs.replace(made, rounds=rounds[:12]))
    assert finding(first, "micro/one cpu").verdict is Verdict.INCONCLUSIVE
    assert "micro/one" in first.undecided()
    second = judged(msgspec.structs.replace(made, rounds=rounds))
    assert finding(second, "micro/one cpu").verdict is Verdict.FAIL


@pytest.mark.parametrize("ratio", [1.1, 0.9])
@pytest.mark.parametrize("control", ["micro/control cpu", "http/control cpu"])
def test_control_that_moves_makes_the_run_invalid(control: str, ratio: float) -> None:
    found = judged(record({control: ratio, "micro/one cpu": 1.3}))
    assert found.outcome is Outcome.INVALID
    assert [each.metric.name for each in found.controls] == [control]


def parted(made: Record, first: int = 0) -> Record:
    """The same rounds, from one on with the head's later arm a tenth slower than its earlier."""
    rounds = list(made.rounds)
    for number in range(first, len(rounds)):
        of = rounds[number].figures["micro/one cpu"]
        of = msgspec.structs.replace(of, B1=of.B1 / 1.05, B2=of.B2 * 1.05)
        figures = {**rounds[number].figures, "micro/one cpu": of}
        rounds[number] = msgspec.structs.replace(rounds[number], figures=figures)
    return msgspec.structs.replace(made, rounds=rounds)


def test_control_that_environments_move_hides_no_slowdown() -> None:
    made = record({"micro/control cpu": 1.1, "micro/one cpu": 1.3})
    found = judged(msgspec.structs.replace(made, environments_differ=True))
    assert [each.metric.name for each in found.controls] == ["micro/control cpu"]
    assert found.outcome is Outcome.FAIL


def test_metric_whose_revisions_differ_from_themselves_is_in_quarantine_at_the_end() -> None:
    drift = {"micro/one cpu": 0.15}
    first = judged(record(drift=drift))
    assert {each.metric.name for each in first.moved} == {"micro/one cpu"}
    assert {each.compared for each in first.moved} == {"A", "B"}
    assert finding(first, "micro/one cpu").verdict is Verdict.INCONCLUSIVE
    assert "micro/one" in first.undecided(), "it is measured on"
    last = judged(record(drift=drift, rounds=20))
    assert finding(last, "micro/one cpu").verdict is Verdict.QUARANTINED
    reason = finding(last, "micro/one cpu").reason
    assert re.search(r"A differs from itself within a round, by \+1[567]\.\d%", reason)
    assert last.outcome is Outcome.PASS


@pytest.mark.parametrize("effect", [1.0, 1.2])
@pytest.mark.parametrize("rounds", [12, 20])
def test_head_that_alone_differs_from_itself_does_not_pass(effect: float, rounds: int) -> None:
    found = judged(parted(record({"micro/one cpu": effect}, rounds=rounds)))
    assert {each.compared for each in found.moved} == {"B"}
    assert finding(found, "micro/one cpu").verdict is Verdict.INCONCLUSIVE
    assert "B differs from itself" in finding(found, "micro/one cpu").reason
    assert found.outcome is Outcome.INCONCLUSIVE


def test_what_moves_after_a_look_takes_nothing_back_of_it() -> None:
    found = judged(parted(record(rounds=20), 4))
    assert [each.rounds for each in found.moved] == [20]
    assert finding(found, "micro/one cpu").verdict is Verdict.PASS


def test_self_tests_are_counted() -> None:
    primary = sum(metric.primary for metric in DECLARED.metrics())
    assert judged(record()).self_tests == 2 * primary


# ---- what could not be measured


def test_benchmark_that_fails_is_an_error_even_where_others_are_slower() -> None:
    made = record({"micro/two cpu": 1.3})
    failed = Failure("micro/one", "base", "ImportError: no such name")
    found = judged(msgspec.structs.replace(made, failures=[failed]))
    assert found.outcome is Outcome.ERROR
    assert found.errors == ["micro/one failed on the base: ImportError: no such name"]
    assert finding(found, "micro/one cpu").verdict is Verdict.ERROR
    assert finding(found, "micro/two cpu").verdict is Verdict.FAIL


def test_benchmark_that_is_gone_is_an_error_until_a_line_says_that_it_was_meant() -> None:
    made = msgspec.structs.replace(record(), missing=["micro/gone"])
    found = judged(made)
    assert found.outcome is Outcome.ERROR
    assert "micro/gone" in found.errors[0]
    meant = Accepted(removed={"micro/gone": Line("micro/gone", 0, "its code is gone", SOON)})
    assert judged(made, meant).outcome is Outcome.PASS


def test_metric_that_decides_no_more_is_an_error() -> None:
    found = judged(msgspec.structs.replace(record(), missing=["http/page cpu"]))
    assert found.errors[0].startswith("the base decides by http/page cpu, and the head does not")


def test_new_benchmark_is_said_and_not_compared() -> None:
    found = judged(msgspec.structs.replace(record(), new=["micro/one"]))
    assert finding(found, "micro/one cpu").verdict is Verdict.NEW
    assert found.outcome is Outcome.PASS


# ---- accepted slowdowns


def accepting(name: str, size: float) -> Accepted:
    return Accepted({name: Line(name, size, "exact now", SOON)})


@pytest.mark.parametrize("name", ["micro/one", "micro/one cpu"])
def test_accepted_slowdown_is_told_and_does_not_fail(name: str) -> None:
    found = judged(record({"micro/one cpu": 1.10}), accepting(name, 0.12))
    assert found.outcome is Outcome.PASS
    assert finding(found, "micro/one cpu").verdict is Verdict.ACCEPTED
    assert "exact now" in finding(found, "micro/one cpu").reason


def test_line_that_a_pass_takes_is_told() -> None:
    made = record({"micro/one cpu": 1.04}, noise={"micro/one cpu": 0.02})
    found = judged(made, accepting("micro/one", 0.08))
    of = finding(found, "micro/one cpu")
    assert of.low < of.metric.delta < of.high, "else this tests nothing"
    assert of.verdict is Verdict.ACCEPTED
    assert "exact now" in of.reason
    unneeded = judged(record(), accepting("micro/one", 0.08))
    assert finding(unneeded, "micro/one cpu").verdict is Verdict.PASS


def test_slowdown_that_would_have_been_seen_exceeds_what_is_accepted() -> None:
    one = finding(judged(record()), "micro/one cpu")
    more = finding(judged(record(), accepting("micro/one", 0.08)), "micro/one cpu")
    assert more.resolution == pytest.approx(one.resolution + math.log(1.08))


def test_line_that_the_base_has_too_accepts_nothing_more() -> None:
    line = Line("micro/one", 0.2, "exact now", SOON)
    found = judged(record({"micro/one cpu": 1.10}), Accepted(spent={"micro/one": line}))
    assert found.outcome is Outcome.FAIL
    assert "the base has the line" in finding(found, "micro/one cpu").reason


def test_slowdown_beyond_what_is_accepted_fails() -> None:
    found = judged(record({"micro/one cpu": 1.30}), accepting("micro/one", 0.10))
    assert found.outcome is Outcome.FAIL
    assert "10.0%" in finding(found, "micro/one cpu").reason


def test_acceptance_of_one_benchmark_is_none_of_another() -> None:
    found = judged(record({"micro/two cpu": 1.10}), accepting("micro/one", 0.5))
    assert [each.metric.name for each in found.of(Verdict.FAIL)] == ["micro/two cpu"]


def test_exit_codes_differ() -> None:
    codes = [outcome.exit_code for outcome in Outcome]
    assert len(set(codes)) == len(codes)
    assert Outcome.PASS.exit_code == 0
    assert 2 not in codes, "that is click's, for wrong usage"


# ---- rounds


def test_difference_of_a_round_is_head_by_base() -> None:
    figures = Figures(A1=1.0, A2=1.0, B1=2.0, B2=8.0)
    rounds = [Round(order="ABBA", hash_seed=0, padding=0, seconds=1, figures={"m": figures})]
    assert differences(rounds, "m", more_is_better=False) == pytest.approx([math.log(4)])
    assert differences(rounds, "m", more_is_better=True) == pytest.approx([-math.log(4)])
    assert differences(rounds, "another", more_is_better=True) == []
    of_head = same_revision(rounds, "m", "B", more_is_better=False)
    assert of_head == pytest.approx([math.log(4) / math.sqrt(2)])


def test_drift_that_is_steady_within_a_round_cancels() -> None:
    for turns in ("ABBA", "BAAB"):
        draw = next(schedule.draw(1, n) for n in range(99) if schedule.draw(1, n).order == turns)
        figures = {arm: math.exp(0.1 * place) for place, arm in enumerate(draw.turns)}
        rounds = [
            Round(
                order=draw.order, hash_seed=0, padding=0, seconds=1,
                figures={"m": Figures(**figures)},
            )
        ]  # fmt: skip
        assert differences(rounds, "m", more_is_better=False) == pytest.approx([0.0])


def test_order_is_drawn_evenly_and_again_the_same() -> None:
    draws = [schedule.draw(7, number) for number in range(400)]
    assert draws == [schedule.draw(7, number) for number in range(400)]
    assert 150 < sum(draw.order == "ABBA" for draw in draws) < 250
    assert len({draw.hash_seed for draw in draws}) > 390
    assert {len(draw.turns) for draw in draws} == {4}
    assert draws[0].environ["PYTHONHASHSEED"] == str(draws[0].hash_seed)


def test_record_survives_json() -> None:
    made = record(rounds=3)
    assert msgspec.json.decode(msgspec.json.encode(made), type=Record) == made


# ---- the declaration


def test_declaration_of_this_checkout() -> None:
    ours = declaration.ours()
    controls = [each.name for each in ours.benchmarks if each.control]
    assert controls == ["micro/control", "http/control"]
    assert all(not metric.primary for each in ours.benchmarks if each.control
               for metric in metrics_of(each))  # fmt: skip
    assert all(each.covers for each in ours.benchmarks if not each.control)


def test_declaration_that_names_one_twice_is_refused() -> None:
    line = '[[benchmark]]\nname = "micro/one"\ntitle = "one"\n'
    with pytest.raises(ValueError, match="more than once: micro/one"):
        declaration.parse(line * 2)
    with pytest.raises(ValueError, match="name"):
        declaration.parse(line.replace("micro/one", "other/one"))


def test_part_of_a_declaration_keeps_its_controls() -> None:
    assert [each.name for each in DECLARED.only({"micro/two"}).benchmarks] == [
        "micro/control", "micro/two",
    ]  # fmt: skip
    with pytest.raises(LookupError, match="micro/none"):
        DECLARED.only({"micro/none"})
    assert Declaration(()).only(set()).benchmarks == ()
