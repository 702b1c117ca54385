"""The dispatch benchmark: what it draws, how it reads HiGHS, how it judges, and that it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING

import pytest

from app.dispatch import Fuels, Kind, Plan, Plant, faults_of
from benchmarks.dispatch import equality, families, health, highs, plot
from benchmarks.dispatch.families import FUELS, Problem
from benchmarks.dispatch.highs import Answer, Verdict
from benchmarks.dispatch.judge import Finding, judge
from benchmarks.dispatch.loads import can_be_met
from benchmarks.dispatch.memory import growth_here
from benchmarks.dispatch.ours import solve
from benchmarks.dispatch.session import FULL
from benchmarks.dispatch.times import ways
from benchmarks.pairs import Summary
from tests.support import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LIMIT_S = 20.0
ALL_WAYS = (highs.passed, highs.stated)


def gas(name: str, efficiency: str, low: int, high: int) -> Plant:
    return Plant(name, Kind.GASFIRED, Decimal(efficiency), Decimal(low), Decimal(high))


def two_plants(load: str) -> Problem:
    """A cheap plant of 100 to 200 MW and a dear one of 50 to 60."""
    plants = [gas("cheap", "0.5", 100, 200), gas("dear", "0.25", 50, 60)]
    return Problem(Decimal(load), Fuels(Decimal(10), Decimal(50), Decimal(20), Decimal(0)), plants)


def steps(plant: Plant) -> tuple[int, int]:
    return highs.limits(plant, FUELS)


# ---- families


@pytest.mark.parametrize("family", families.FAMILIES)
def test_draws_are_deterministic_accepted_and_of_the_size_asked_for(family: str) -> None:
    for plants in (3, 60, 1000):
        problem = families.draw(family, plants, 5)
        assert problem == families.draw(family, plants, 5)
        assert problem != families.draw(family, plants, 6)
        assert len(problem.plants) == plants
        assert faults_of(problem.load, problem.fuels, problem.plants) == []


@pytest.mark.parametrize("family", families.FAMILIES)
@pytest.mark.parametrize("seed", [0, 1_000_000])
def test_the_largest_are_accepted(family: str, seed: int) -> None:
    problem = families.draw(family, 5000, seed)
    assert faults_of(problem.load, problem.fuels, problem.plants) == []


def test_draws_do_not_change_from_machine_to_machine() -> None:
    problem = families.draw("near costs", 3, 1)
    assert problem.load == Decimal("247.3")
    assert [(p.efficiency, p.pmax) for p in problem.plants] == [
        (Decimal("0.500034"), Decimal("399.8")),
        (Decimal("0.500054"), Decimal("92.9")),
        (Decimal("0.500053"), Decimal("130.7")),
    ]


IS_WHAT_ITS_NAME_SAYS: dict[str, Callable[[Problem], bool]] = {
    "ordinary": lambda p: {plant.kind for plant in p.plants} == set(Kind),
    "fine efficiencies": lambda p: len({plant.efficiency for plant in p.plants}) > 20,
    "all wind": lambda p: {plant.kind for plant in p.plants} == {Kind.WINDTURBINE},
    "identical": lambda p: len({(q.kind, q.efficiency, q.pmin, q.pmax) for q in p.plants}) == 1,
    "Pmin = Pmax": lambda p: all(q.pmin == q.pmax for q in p.plants),
    "Pmin near Pmax": lambda p: all(900 < 1000 * a / b < 1000 for a, b in map(steps, p.plants)),
    "near costs": lambda p: all(0.5 <= float(q.efficiency) < 0.501 for q in p.plants),
    "one cost": lambda p: len({q.efficiency for q in p.plants}) == 1,
    "parity": lambda p: all(sum(steps(q)) % 4 == 0 for q in p.plants) and p.load * 10 % 2 == 1,
    "parity, one way out": lambda p: sum(q.pmin < q.pmax for q in p.plants) == 1,
    "few odd plants": lambda p: sum(q.pmax * 10 % 2 for q in p.plants) == len(p.plants) // 10,
    "edge of the least load": lambda p: p.load <= 40,
    "edge of the greatest load": lambda p: (
        0 <= sum(highs.limits(q, p.fuels)[1] for q in p.plants) - p.load * 10 < 400
    ),
    "no plan": lambda p: not can_be_met(p),
    "wind and gas": lambda p: sum(q.kind is Kind.WINDTURBINE for q in p.plants) == 20,
}


@pytest.mark.parametrize("family", families.FAMILIES)
def test_every_family_is_what_its_name_says(family: str) -> None:
    for seed in range(10):
        assert IS_WHAT_ITS_NAME_SAYS[family](families.draw(family, 40, seed)), seed


# ---- HiGHS


@pytest.mark.parametrize("family", families.FAMILIES)
def test_floats_of_the_models_are_the_exact_limits_and_costs(family: str) -> None:
    for seed in range(5):
        problem = families.draw(family, 60, seed)
        low, high, cost = highs.arrays(problem)
        exact = [highs.limits(plant, problem.fuels) for plant in problem.plants]
        assert [(round(a * 10, 9), round(b * 10, 9)) for a, b in zip(low, high, strict=True)] == [
            (float(a), float(b)) for a, b in exact
        ]
        assert cost.tolist() == pytest.approx(
            [float(highs.marginal_cost(plant, problem.fuels)) for plant in problem.plants]
        )


def test_limits_hold_where_a_float_misses_a_whole_step() -> None:
    # 298.4 MW at 87.5 % are 261.1 MW; in floats, a little less.
    turbine = Plant("wind", Kind.WINDTURBINE, Decimal(1), Decimal(0), Decimal("298.4"))
    fuels = Fuels(FUELS.gas, FUELS.kerosine, FUELS.co2, Decimal("87.5"))
    assert 298.4 * 87.5 / 100 * 10 < 2611
    assert highs.limits(turbine, fuels) == (2611, 2611)
    low, high, _ = highs.arrays(Problem(Decimal(0), fuels, [turbine]))
    assert (low.tolist(), high.tolist()) == ([261.1], [261.1])


@pytest.mark.parametrize("way", ALL_WAYS)
def test_reader_prices_the_plan_exactly(way: Callable[[Problem, float], highs.Run]) -> None:
    problem = two_plants("230.1")
    # 180.1 MW at 10 / 0.5 + 6 euro and 50 MW at 10 / 0.25 + 6.
    cost = Fraction(1801, 10) * 26 + 50 * 46
    assert highs.answer(way(problem, LIMIT_S), problem) == Answer(Verdict.OPTIMAL, cost)


@pytest.mark.parametrize("way", ALL_WAYS)
def test_reader_knows_that_there_is_no_plan(way: Callable[[Problem, float], highs.Run]) -> None:
    problem = two_plants("75.0")
    assert highs.answer(way(problem, LIMIT_S), problem) == Answer(Verdict.INFEASIBLE, None)


def test_reader_knows_that_time_ran_out() -> None:
    problem = families.draw("few odd plants", 60, 1)
    found = highs.answer(highs.passed(problem, 0.01), problem)
    assert found.verdict is Verdict.OUT_OF_TIME


def test_outputs_that_are_no_plan_have_no_cost() -> None:
    problem = two_plants("230.1")
    assert highs.cost_of([1801, 500], problem) == Fraction(1801, 10) * 26 + 50 * 46
    assert highs.cost_of([1801, 501], problem) is None  # misses the load
    assert highs.cost_of([2301, 0], problem) is None  # breaks a limit
    assert highs.cost_of([1901, 400], problem) is None


@pytest.mark.parametrize("family", families.FAMILIES)
def test_both_ways_and_ours_agree(family: str) -> None:
    problem = families.draw(family, 12, 3)
    found = {name: solved() for name, solved in ways(problem, LIMIT_S).items()}
    for way in ("passed", "stated"):
        run = found[way]
        plan = found["ours"]
        assert isinstance(run, highs.Run)
        assert plan is None or isinstance(plan, Plan)
        finding = judge(problem, plan, highs.answer(run, problem)).finding
        assert finding in {Finding.EQUAL, Finding.NO_PLAN}


# ---- judging


def test_set_of_loads_is_that_of_all_choices() -> None:
    plants = [gas("a", "0.5", 3, 4), gas("b", "0.5", 10, 10), gas("c", "0.5", 11, 11)]
    choices = [[0, *range(low, high + 1)] for low, high in map(steps, plants)]
    sums = {sum(choice) for choice in product(*choices)}
    for load in range(260):
        assert can_be_met(Problem(Decimal(load).scaleb(-1), FUELS, plants)) == (load in sums)


def test_every_finding() -> None:
    problem, none = two_plants("230.1"), two_plants("75.0")
    plan = solve(problem)
    assert plan is not None
    more, less = plan.cost + 1, plan.cost - 1
    cases = [
        (problem, plan, Answer(Verdict.OPTIMAL, plan.cost), Finding.EQUAL),
        (problem, plan, Answer(Verdict.OPTIMAL, more), Finding.HIGHS_DEARER),
        (problem, plan, Answer(Verdict.OPTIMAL, less), Finding.OURS_DEARER),
        (problem, plan, Answer(Verdict.OPTIMAL, None), Finding.HIGHS_BROKEN),
        (problem, plan, Answer(Verdict.INFEASIBLE, None), Finding.HIGHS_BLIND),
        (problem, plan, Answer(Verdict.OUT_OF_TIME, plan.cost), Finding.LATE_EQUAL),
        (problem, plan, Answer(Verdict.OUT_OF_TIME, more), Finding.LATE_DEARER),
        (problem, plan, Answer(Verdict.OUT_OF_TIME, less), Finding.OURS_DEARER),
        (problem, plan, Answer(Verdict.OUT_OF_TIME, None), Finding.LATE_NONE),
        (none, plan, Answer(Verdict.INFEASIBLE, None), Finding.OURS_WRONG),
        (none, None, Answer(Verdict.INFEASIBLE, None), Finding.NO_PLAN),
        (none, None, Answer(Verdict.OPTIMAL, None), Finding.HIGHS_BROKEN),
        (none, None, Answer(Verdict.OUT_OF_TIME, None), Finding.LATE_NONE),
        (problem, None, Answer(Verdict.OPTIMAL, more), Finding.OURS_WRONG),
        (problem, None, Answer(Verdict.OUT_OF_TIME, None), Finding.OURS_WRONG),
    ]
    for asked, ours, theirs, expected in cases:
        assert judge(asked, ours, theirs).finding is expected, theirs
    assert {expected for *_, expected in cases} == set(Finding)


def test_one_case_of_the_comparison() -> None:
    found = equality.judge_case(equality.Case("ordinary", 20, 1), LIMIT_S)
    assert found.finding is Finding.EQUAL


def test_full_run_is_as_large_as_it_says() -> None:
    count = len(families.FAMILIES)
    assert FULL.equal_small * count >= 5000
    assert FULL.equal_large * count >= 200
    assert FULL.large_plants == (100, 2000)
    assert list(FULL.timed) == [6, 20, 100, 1000, 2000]
    assert (min(FULL.plotted), max(FULL.plotted)) == (5, 5000)
    assert FULL.memory_plants == 5000


# ---- memory, health, the picture


def test_memory_of_a_solve_is_seen() -> None:
    assert 0 <= growth_here("ordinary", 200, 1) < 100e6


def test_payload_states_the_problem() -> None:
    from app.planning import decode  # noqa: PLC0415 - the only test that needs it

    for family in families.FAMILIES:
        problem = families.draw(family, 30, 2)
        request = decode(health.payload_of(problem))
        assert (request.load, request.fuels) == (problem.load, problem.fuels)
        assert request.plants == problem.plants


def test_equal_times_give_an_equal_picture(tmp_path: Path) -> None:
    summaries = {
        way: [Summary(10, 1e-3 * plants * slow, 2e-3 * plants * slow, 1.0) for plants in (5, 5000)]
        for slow, way in enumerate(("ours", "passed", "stated"), 1)
    }
    files = [tmp_path / name for name in ("one.svg", "two.svg", "one.png")]
    plot.draw((5, 5000), summaries, files)
    one, two, bitmap = (file.read_bytes() for file in files)
    assert one == two
    assert len(one) < 150_000
    assert bitmap.startswith(b"\x89PNG")


# ---- the command


def bench(
    *arguments: str, cwd: Path = ROOT, timeout_s: float = 60
) -> subprocess.CompletedProcess[str]:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("COV")}
    return subprocess.run(
        (sys.executable, "-m", "benchmarks", "dispatch", *arguments),
        capture_output=True, text=True, check=False, timeout=timeout_s, cwd=cwd,
        env=environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
    )  # fmt: skip


@pytest.mark.timeout(270)
def test_quick_run_measures_every_part(tmp_path: Path) -> None:
    files = {"json": tmp_path / "found.json", "markdown": tmp_path / "found.md"}
    done = bench(
        "--quick", "--json", str(files["json"]), "--markdown", str(files["markdown"]),
        "--output", str(tmp_path / "plots"), timeout_s=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    found = json.loads(files["json"].read_text())
    assert {"equality", "time", "worst", "plot", "memory", "health"} < set(found)
    assert found["failures"] == []
    assert found["machine"]["packages"]["highspy"]
    assert sum(sum(n.values()) for n in found["equality"]["families"].values()) == 90
    assert [timing["plants"] for timing in found["time"]] == [6, 20, 100, 1000]
    assert found["time"][0]["ratio_passed"]["value"] > 1
    assert found["memory"]["families"][0]["growth_bytes"] < 200e6
    assert found["health"]["phases"]["busy"]["plans"] > 0
    for name in ("dispatch.svg", "dispatch.png"):
        assert (tmp_path / "plots" / name).stat().st_size > 1000
    report = files["markdown"].read_text()
    assert "## Equality with HiGHS" in report
    assert "| measured on |" in report
    assert "bench: equality" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--part", "speed"), "'speed' is not one of"),
        (("--seed", "-1"), "not in the range"),
        (("--json", "/nowhere/found.json"), "there is no folder /nowhere"),
        (("--fast",), "No such option"),
    ],
)
def test_wrong_options_are_named(arguments: tuple[str, ...], words: str) -> None:
    done = bench(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_every_exit_code() -> None:
    done = bench("--help")
    assert done.returncode == 0
    text = " ".join(done.stdout.split())
    for words in ("Exit codes: 0 measured", "2 wrong usage", "3 a part could not be measured"):
        assert words in text
