"""The pipeline's jobs: a fault of their table is named, and nothing passes that was not run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from pipeline import jobs as table
from pipeline import report, running
from pipeline.jobs import Job, PipelineError
from pipeline.running import Machine, Result
from tests.support import GIT, ROOT, git, wait_for

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = sys.executable


def job(name: str, code: int = 0, **more: object) -> Job:
    argv = (PYTHON, "-c", f"raise SystemExit({code})")
    return Job(**{"name": name, "about": name, "argv": argv, "minutes": 1, **more})  # type: ignore[arg-type]


def run(*jobs: Job, root: Path = ROOT, strict: bool = False) -> dict[str, Result]:
    machine = Machine(root, dict(os.environ), strict=strict)
    return {one.job: one for one in running.run(jobs, machine, (), lambda _: None)}


# ---- the table


def test_table_is_sound_and_its_commands_are_of_this_checkout() -> None:
    for name in table.workflows():
        for each in table.read(name):
            assert each.argv[0] in {"./run", "nix"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[ci]]\nname = 'a'\n", "missing"),
        (
            "[[ci]]\nname='a'\nabout='a'\nargv=['x']\nminutes=1\ncolour='red'\n",
            "unknown ['colour']",
        ),
        ("[[ci]]\nname='a'\nabout='a'\nargv=['x']\nminutes=1\nneeds=['b']\n", "needs b"),
        ("[[ci]]\nname='a'\nabout='a'\nargv=['x']\nminutes=999\n", "at most 360"),
        ("[[ci]]\nname='a'\nabout='a'\nargv=['x']\nminutes=1\nneutral={1='fine'}\n", "neither is"),
        ("[[ci]]\nname='a'\nabout='a'\nargv=[]\nminutes=1\n", "has a command"),
        (2 * "[[ci]]\nname='a'\nabout='a'\nargv=['x']\nminutes=1\n", "two jobs a"),
        ("[[nightly]]\n", "no workflow ci"),
        ("[[ci", "cannot be read"),
    ],
)
def test_fault_of_the_table_is_named(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "jobs.toml"
    file.write_text(text)
    with pytest.raises(PipelineError) as caught:
        table.read("ci", file)
    assert said in str(caught.value)


def test_jobs_are_chosen_by_name_in_the_table_s_order() -> None:
    jobs = (job("a"), job("b"), job("c"))
    assert [one.name for one in table.chosen(jobs, ["c", "a"])] == ["a", "c"]
    assert table.chosen(jobs, []) == jobs
    with pytest.raises(PipelineError, match="no job d; there are: a, b, c"):
        table.chosen(jobs, ["d"])


# ---- running


def test_job_whose_need_failed_is_not_run_and_not_green() -> None:
    found = run(job("a", 1), job("b", needs=("a",)), job("c", needs=("b",)), job("d"))
    assert [one.verdict for one in found.values()] == ["failed", "not run", "not run", "passed"]
    assert not running.is_green(list(found.values()))


def test_neutral_exit_code_is_named_and_any_other_fails() -> None:
    found = run(job("a", 4, neutral={4: "inconclusive"}), job("b", 5, neutral={4: "inconclusive"}))
    assert (found["a"].verdict, found["a"].reason) == ("neutral", "inconclusive")
    assert (found["b"].verdict, found["b"].code) == ("failed", 5)


def test_job_that_cannot_run_here_is_skipped_or_fails_where_all_must_run() -> None:
    missing = job("a", programs=("no-such-program",))
    assert run(missing, job("b"))["a"].verdict == "skipped"
    assert run(missing, job("b"), strict=True)["a"].verdict == "failed"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(("sudo", "verdict"), [("exit 1", "skipped"), ("exit 0", "passed")])
def test_job_for_root_is_run_by_root_or_where_sudo_asks_nothing(
    sudo: str, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = job("a", root=True)
    assert run(one)["a"].verdict == "passed"
    program = tmp_path / "sudo"
    program.write_text(f"#!/bin/sh\n{sudo}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert run(one)["a"].verdict == verdict


def test_nothing_that_was_run_is_not_green() -> None:
    assert not running.is_green([])
    assert not running.is_green([Result("a", "skipped")])
    assert running.is_green([Result("a", "skipped"), Result("b", "neutral")])


def test_job_ends_at_its_limit_with_all_that_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = (
        "import pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(pid)!r}).write_text(str(child.pid))\n"
        "time.sleep(600)"
    )
    begun = time.monotonic()
    found = run(job("a", argv=(PYTHON, "-c", code), minutes=2 / 60))
    assert time.monotonic() - begun < 30
    assert (found["a"].verdict, found["a"].code) == ("failed", None)
    assert "not done after" in found["a"].reason
    child = int(pid.read_text())

    def is_gone() -> bool:
        return (
            not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
        )

    wait_for(is_gone, "its child to end")


def test_report_of_another_run_is_not_this_one_s(tmp_path: Path) -> None:
    (tmp_path / "report.md").write_text("old")
    one = job("a", report="report.md")
    found = run(one, root=tmp_path)
    assert "old" not in report.markdown(list(found.values()), [one], tmp_path)


@pytest.mark.skipif(not GIT, reason="git is not installed")
def test_base_is_where_main_was_left_and_on_main_the_commit_before(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--no-gpg-sign", "-m", "1")
    with pytest.raises(PipelineError, match="no commit before"):
        running.base_commit(tmp_path)
    first = git(tmp_path, "rev-parse", "HEAD")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--no-gpg-sign", "-m", "2")
    assert running.base_commit(tmp_path) == first
    second = git(tmp_path, "rev-parse", "HEAD")
    git(tmp_path, "switch", "--quiet", "--create", "change")
    for number in ("3", "4"):
        git(tmp_path, "commit", "--quiet", "--allow-empty", "--no-gpg-sign", "-m", number)
    assert running.base_commit(tmp_path) == second
    git(tmp_path, "branch", "--quiet", "--delete", "--force", "main")
    with pytest.raises(PipelineError, match="fetch the whole history"):
        running.base_commit(tmp_path)


def gate_line(commit: str, outcome: str = "PASS", levels: str = '{"micro/json cpu": 1.0}') -> str:
    return f'{{"commit": "{commit}", "outcome": "{outcome}", "levels": {levels}}}\n'


@pytest.mark.skipif(not GIT, reason="git is not installed")
def test_last_measured_commit_is_the_history_s_and_else_the_base(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commits = []
    for number in range(4):
        git(tmp_path, "commit", "--quiet", "--allow-empty", "--no-gpg-sign", "-m", str(number))
        commits.append(git(tmp_path, "rev-parse", "HEAD"))
    history = tmp_path / "gate.jsonl"
    assert running.last_measured(tmp_path, history) == commits[2], "the first night has none"
    history.write_text(gate_line(commits[0]) + gate_line(commits[1]))
    assert running.last_measured(tmp_path, history) == commits[1]
    unmeasured = [gate_line(commits[1], of) for of in ("ERROR", "INVALID")]
    unmeasured.append(gate_line(commits[1], levels="{}"))
    history.write_text(gate_line(commits[0], "FAIL") + "".join(unmeasured))
    assert running.last_measured(tmp_path, history) == commits[0], "what is merged is compared"
    for last in (commits[3], "f" * 40, "--help", ""):
        history.write_text(gate_line(last))
        assert running.last_measured(tmp_path, history) == commits[2]
    history.write_text("no json\n")
    assert running.last_measured(tmp_path, history) == commits[2]
    code = "import sys; sys.exit(sys.argv[1] != sys.argv[4])"
    history.write_text(gate_line(commits[1]))
    asked = job("a", argv=(PYTHON, "-c", code, "{last}", "--history", "gate.jsonl", commits[1]))
    assert run(asked, root=tmp_path)["a"].verdict == "passed"


# ---- what is said


def test_report_says_red_for_any_job_that_is_not_green() -> None:
    results = [Result("a", "passed", 1.0), Result("b", "not run", 0.0, "it needs a")]
    assert report.text(results).splitlines()[-1] == "RED after 1 s: b"
    assert b'"green": false' in report.json(results)
    assert "| ✗ | b | 0 | it needs a |" in report.markdown(results, [], ROOT)


def test_command_lists_the_jobs_and_refuses_an_unknown_one() -> None:
    command = (PYTHON, "-m", "pipeline", "ci")
    listed = subprocess.run(
        (*command, "--list"), cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    for each in table.read():
        assert f"{each.name:17}{' '.join(each.argv)}" in listed.stdout
    wrong = subprocess.run(
        (*command, "--job", "x"), cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert wrong.returncode == 1
    assert "there is no job x" in wrong.stderr
