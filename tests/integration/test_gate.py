"""The gate on real checkouts and real processes, of a few rounds only.

Speed is not judged here: what runs beside the tests may move any figure. What is tested is that
figures come from the right processes, and that whatever fails is named.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from benchmarks.calibration import lines
from benchmarks.calibration.lines import Case
from benchmarks.calibration.runs import Runner
from benchmarks.gate import instructions, measuring
from benchmarks.gate.accepted import Accepted
from benchmarks.gate.arms import Arm, Arms
from benchmarks.gate.declaration import ours
from benchmarks.gate.looks import Look
from benchmarks.gate.session import Gate, Plan
from benchmarks.gate.verdicts import Outcome, Verdict
from benchmarks.http import arms as http_arms
from benchmarks.progress import Progress
from tests.support import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable


pytestmark = [pytest.mark.timeout(600), pytest.mark.unmeasured]  # it measures copies of the code
ROUNDS = 1
WHOLE = Plan(
    (Look(ROUNDS, 1.0),), measuring.Effort(0.01, http_arms.Effort(0.02, 5, 5)), 500.0
)  # fmt: skip
"""Arms as in a gate, which take long to start."""
PLAN = replace(WHOLE, effort=replace(WHOLE.effort, bare=True, alone=True))
"""Arms as in the calibration."""


def quiet(_text: str) -> None:
    """Say nothing."""


@pytest.fixture
def checkouts(tmp_path: Path) -> Arms:
    """Two copies of what is tested here, as the worktrees of a gate would be."""
    trees = {}
    for role in ("base", "head"):
        trees[role] = tmp_path / role
        for name in ("app", "benchmarks", "nginx", "tests/data"):
            shutil.copytree(ROOT / name, trees[role] / name)  # compiled modules keep their times
        for name in ("supervisord.conf", "pyproject.toml", "requirements-binaries.txt"):
            shutil.copy(ROOT / name, trees[role] / name)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    python = Path(sys.executable)
    return Arms(
        Arm("base", "b" * 40, trees["base"], python),
        Arm("head", "c" * 40, trees["head"], python),
        ours(),
        ours().names(),
        scratch,
    )


@pytest.fixture
def gate(checkouts: Arms) -> Callable[..., Gate]:
    def make(*names: str, plan: Plan = PLAN) -> Gate:
        progress = Progress(Console(file=io.StringIO()))
        return Gate(checkouts, plan, ours().only(set(names)), Accepted(), 1, progress)

    return make


def test_every_benchmark_gives_every_figure(gate: Callable[..., Gate]) -> None:
    made = gate(*ours().names(), plan=WHOLE)
    record, judgement = made.run(quiet)
    assert judgement.errors == []
    assert len(record.rounds) == ROUNDS
    wanted = {metric.name for metric in ours().metrics()}
    for each in record.rounds:
        assert set(each.figures) == wanted
        assert all(value > 0 for of in each.figures.values() for value in (of.A1, of.B2))
    assert set(record.rounds[0].means) == {m for m in wanted if m.startswith("micro/")}
    # A page costs a worker far more than its health does, and the stylesheet costs it nothing:
    # so the CPU time is that of the processes that it should be of.
    figures = record.rounds[0].figures
    assert figures["http/home cpu"].A1 > 1.5 * figures["http/health cpu"].A1
    assert list(made.arms.scratch.glob("stack-*")) == []


def test_slowdown_of_three_times_is_seen_where_it_is(gate: Callable[..., Gate]) -> None:
    made = gate("micro/json", "micro/parse")
    file = made.arms.head.root / "app" / "planning" / "request.py"
    file.write_text(
        file.read_text() + "\n\n_once = decode\n\n\ndef decode(body):\n"
        "    for _ in range(10):\n        _once(body)\n    return _once(body)\n"
    )
    init = made.arms.head.root / "app" / "planning" / "__init__.py"
    assert re.search(
        r"^from app\.planning\.request import .*\bdecode$", init.read_text(), re.MULTILINE
    )
    record, _ = made.run(quiet)
    for each in record.rounds:
        json, parse = each.figures["micro/json cpu"], each.figures["micro/parse cpu"]
        assert min(json.B1, json.B2) > 1.5 * max(json.A1, json.A2)
        assert min(parse.B1, parse.B2) < 1.5 * max(parse.A1, parse.A2)


def test_base_of_another_interface_fails_by_name_and_the_rest_goes_on(
    gate: Callable[..., Gate],
) -> None:
    made = gate("micro/calculator", "micro/json", plan=WHOLE)
    init = made.arms.base.root / "app" / "calculator" / "__init__.py"
    init.write_text("")
    record, judgement = made.run(quiet)
    assert judgement.outcome is Outcome.ERROR
    assert [(each.benchmark, each.arm) for each in record.failures] == [
        ("micro/calculator", "base")
    ]
    assert "ImportError" in record.failures[0].reason
    assert {name for each in record.rounds for name in each.figures} == {
        "micro/control cpu", "micro/json cpu",
    }  # fmt: skip


def test_benchmark_that_the_base_cannot_run_and_never_had_is_new(
    gate: Callable[..., Gate],
) -> None:
    made = gate("micro/calculator", "micro/json")
    made.arms.base_names.discard("micro/calculator")
    (made.arms.base.root / "app" / "calculator" / "__init__.py").write_text("")
    record, judgement = made.run(quiet)
    assert record.new == ["micro/calculator"]
    assert judgement.errors == []
    assert [each.metric.name for each in judgement.of(Verdict.NEW)] == ["micro/calculator cpu"]


def test_responses_that_fail_are_an_error(gate: Callable[..., Gate]) -> None:
    made = gate("http/home")
    file = made.arms.head.root / "app" / "web" / "home.py"
    file.write_text(file.read_text().replace("self.render(", "raise OSError  # self.render("))
    record, judgement = made.run(quiet)
    assert judgement.outcome is Outcome.ERROR
    assert [(each.benchmark, each.arm) for each in record.failures] == [("http/home", "head")]
    assert "answered 500" in record.failures[0].reason


def test_stack_that_does_not_come_up_is_an_error_of_its_revision(
    gate: Callable[..., Gate], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.peers.processes.START_TIMEOUT_S", 15.0)
    made = gate("http/health")
    (made.arms.head.root / "app" / "web" / "health.py").write_text("")
    record, _ = made.run(quiet)
    assert [(each.benchmark, each.arm) for each in record.failures] == [("http/health", "head")]
    assert "did not come up" in record.failures[0].reason


_REFUSES_ANOTHER_S_VISITS = """

_without = HomeHandler.get
_looked = []


async def _get(self):
    if not _looked:
        _looked.append(self)
        if await self.services.store.visits():
            raise LookupError
    await _without(self)


HomeHandler.get = _get
"""


def test_no_arm_meets_what_another_or_an_earlier_round_has_left_in_redis(
    gate: Callable[..., Gate],
) -> None:
    made = gate("http/home")
    for arm in (made.arms.base, made.arms.head):
        file = arm.root / "app" / "web" / "home.py"
        file.write_text(file.read_text() + _REFUSES_ANOTHER_S_VISITS)
    record, _ = made.run(quiet)
    assert record.failures == []
    assert "http/home cpu" in record.rounds[0].figures


def test_base_that_calls_its_inner_parts_otherwise_can_be_measured(
    gate: Callable[..., Gate],
) -> None:
    """The names are of modules and functions that the launcher and the stack once asked for."""
    made = gate("http/health", plan=WHOLE)
    product = made.arms.base.root / "app"
    (product / "prctl.py").rename(product / "kernel.py")
    for file in product.rglob("*.py"):
        text = file.read_text()
        file.write_text(text.replace("app.prctl", "app.kernel").replace("test_nginx", "try_nginx"))
    record, _ = made.run(quiet)
    assert record.failures == []
    assert set(record.rounds[0].figures) >= {"http/control cpu", "http/health cpu"}


def test_rounds_that_do_not_fit_the_budget_are_not_begun(gate: Callable[..., Gate]) -> None:
    made = gate("micro/json", plan=replace(PLAN, budget_s=0.0))
    record, judgement = made.run(quiet)
    assert record.rounds == []
    assert judgement.outcome is Outcome.ERROR
    assert "the time was up" in record.notes[-1]


def test_instructions_of_both_revisions_are_counted(checkouts: Arms) -> None:
    path = os.environ["PATH"]
    if shutil.which("valgrind", path=path) is None:
        pytest.skip("there is no valgrind on PATH")
    file = checkouts.head.root / "benchmarks" / "micro" / "control.py"
    text = file.read_text().replace("range(5)", "range(6)")
    file.write_text(text.replace("== 1000", "== 1200"))
    found = instructions.count(checkouts, ["micro/control", "micro/calculator"], path)
    assert found.why_not == ""
    assert found.ratio("micro/control") == pytest.approx(1.2, abs=0.03)
    assert found.ratio("micro/calculator") == pytest.approx(1.0, abs=0.02)


def test_calibration_keeps_a_line_by_which_a_gate_can_be_judged_again(
    checkouts: Arms, tmp_path: Path
) -> None:
    runner = Runner(checkouts, Progress(Console(file=io.StringIO())), quiet, PLAN)
    solver = checkouts.head.root / "app" / "dispatch" / "solver.py"
    before = solver.read_text()
    line = runner.run(Case("injected", "cpu 20%", 0))
    assert solver.read_text() == before
    assert line.rounds == ROUNDS
    assert line.failures == []
    names = {"micro/dispatch cpu", "micro/json cpu", "micro/calculator cpu", "micro/control cpu"}
    assert set(line.figures) == names
    assert set(line.others) == {"mean 5 %", "asv", "2 %"}
    file = tmp_path / "lines.jsonl"
    lines.append(file, line)
    assert lines.read(file) == [line]
    (kept,) = lines.record_of(line).rounds
    assert set(kept.figures) == set(kept.means) == names
    assert list(checkouts.scratch.iterdir()) == []


def test_calibration_beside_another_load(checkouts: Arms) -> None:
    runner = Runner(checkouts, Progress(Console(file=io.StringIO())), quiet, PLAN)
    line = runner.run(Case("busy", "", 0), {"micro/calculator"})
    assert line.failures == []
    assert set(line.figures) == {"micro/calculator cpu", "micro/control cpu"}
