"""Upgrades of a small master: the way there, and every way back."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.small_master import Questions, SmallMaster

if TYPE_CHECKING:
    from pathlib import Path


def command_line(master: SmallMaster) -> str:
    return " ".join(psutil.Process(master.pid).cmdline())


def test_upgrade_keeps_the_pid_and_fails_no_request(tmp_path: Path) -> None:
    with SmallMaster(tmp_path).start(workers=2) as master, Questions(master) as questions:
        for name in ("b", "c"):
            master.release(name, workers=2)
            master.install(name)
            assert master.reload() == "succeeded"
            assert str(tmp_path / name) in command_line(master)
            assert len(master.ready(name)) == 2
        master.wait_for(lambda: len(master.status.children) == 2, "the end of the old workers")
        answered = len(questions.answers)
        master.wait_for(lambda: len(questions.answers) > answered + 20, "answers")
    assert questions.failures == []
    assert set(questions.answers) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"fault": "dies"}, "failed: new worker 0 exited with 7"),
        ({"fault": "hangs", "start_timeout_s": 1}, "failed: new worker 0 was not ready in time"),
        ({"fault": "dies when ready", "probation_s": 2}, "failed: new worker 0 exited with 8"),
        ({"master": "no"}, "failed: the new code did not start: RuntimeError: no"),
    ],
    ids=["dies", "hangs", "dies when ready", "master does not start"],
)
def test_release_that_is_no_good_gives_way_to_the_one_before(
    tmp_path: Path, facts: dict[str, Any], reason: str
) -> None:
    with SmallMaster(tmp_path).start() as master, Questions(master) as questions:
        worker = master.ready()[0].pid
        master.release("b", **facts)
        master.install("b")
        assert master.reload() == reason
        assert str(tmp_path / "a") in command_line(master), "the old release was executed again"
        assert master.status.release == "a"
        assert master.ready("a")[0].pid == worker, "and its worker was not touched"
        psutil.Process(worker).kill()
        master.wait_for(lambda: master.ready("a") and master.ready("a")[0].pid != worker, "another")
        master.release("c")
        master.install("c")
        assert master.reload() == "succeeded"
        master.wait_for(lambda: "c" in questions.answers, "answers of the next release")
    # The worker that was killed may have had two slow requests and two quick ones.
    assert len(questions.failures) <= 4
    assert set(questions.answers) == {"a", "c"}


@pytest.mark.parametrize(
    ("facts", "start_timeout_s", "reason"),
    [
        ({"check": 3}, 60, "failed: the check of the new code says: exit 3"),
        (
            {"check_s": 600, "start_timeout_s": 1},
            2,
            "failed: the check of the new code says: gave no verdict in time",
        ),
    ],
    ids=["refuses", "hangs"],
)
def test_release_that_fails_its_check_is_never_executed(
    tmp_path: Path, facts: dict[str, Any], start_timeout_s: float, reason: str
) -> None:
    with SmallMaster(tmp_path).start(start_timeout_s=start_timeout_s) as master:
        generation = master.status.generation
        master.release("b", **facts)
        master.install("b")
        assert master.reload() == reason
        assert master.status.generation == generation
        (tmp_path / "newest").unlink()
        assert master.reload().startswith("failed: the new code cannot be found")
        assert master.ask()[0] == "a"


def test_same_code_again_is_no_way_back_and_the_master_says_so(tmp_path: Path) -> None:
    with SmallMaster(tmp_path).start() as master:
        (tmp_path / "run" / "fault").touch()
        verdict = master.reload()
        assert verdict.startswith("failed: new worker 0 exited with 7. The code on disk")
        assert master.ask()[0] == "a"
        (tmp_path / "run" / "fault").unlink()
        assert master.reload() == "succeeded"


def test_upgrade_asked_for_during_another_waits_for_it(tmp_path: Path) -> None:
    with SmallMaster(tmp_path).start() as master:
        master.release("b", start_s=0.5)
        master.install("b")
        master.tell(signal.SIGHUP)
        master.wait_for(lambda: master.children("starting", "b"), "the first upgrade")
        master.release("c")
        master.install("c")
        master.tell(signal.SIGHUP)
        master.wait_for(lambda: master.ready("c"), "the second")
        master.wait_for(lambda: master.status.reload == "succeeded", "its verdict")
        assert master.status.reloads == 2
        assert master.log.count("reloaded") == 2


def test_new_number_of_workers_is_undone_with_the_release(tmp_path: Path) -> None:
    with SmallMaster(tmp_path).start(workers=2) as master:
        master.release("b", workers=3, fault="dies")
        master.install("b")
        assert master.reload().startswith("failed: new worker")
        master.wait_for(lambda: len(master.status.slots) == 2, "the end of the third socket")
        assert not (tmp_path / "run" / "worker-2.sock").exists()
        assert len(master.ready("a")) == 2


# ---- back, when it is asked for


def test_workers_on_standby_serve_again_at_once(tmp_path: Path) -> None:
    with SmallMaster(tmp_path).start(workers=2) as master, Questions(master) as questions:
        old = {child.pid for child in master.ready()}
        master.release("b", workers=2, standby_s=600)
        master.install("b")
        assert master.reload() == "succeeded"
        assert {child.pid for child in master.children("standby")} == old
        for slot in (0, 0, 0, 1, 1, 1):
            assert master.ask(slot=slot)[0] == "b", "they do not accept"
        assert master.reload(number=signal.SIGUSR2) == "went back to a"
        assert {child.pid for child in master.ready("a")} == old
        assert master.status.release == "a"
        # The old workers serve, and say so, before their master runs the old code again.
        master.wait_for(lambda: str(tmp_path / "a") in command_line(master), "the old master")
        master.wait_for(lambda: len(master.status.children) == 2, "the end of the new workers")
        assert master.ask()[0] == "a"
        assert master.reload(number=signal.SIGUSR2) == (
            "failed: there is no other release to go back to"
        )
    assert questions.failures == []


def test_new_release_that_keeps_dying_gives_way_to_the_one_on_standby(tmp_path: Path) -> None:
    with SmallMaster(tmp_path).start() as master:
        old = master.ready()[0].pid
        master.release("b", standby_s=600)
        master.install("b")
        assert master.reload() == "succeeded"
        (tmp_path / "run" / "fault").touch()
        os.kill(master.ready("b")[0].pid, signal.SIGKILL)
        master.wait_for(lambda: master.status.release == "a", "the old release")
        assert master.status.reload == "went back to a: worker 0 exited with 7, 3 times in a row"
        assert master.ask() == ["a", str(old)]


def test_failed_upgrade_leaves_the_standby_and_the_way_back(tmp_path: Path) -> None:
    with SmallMaster(tmp_path).start() as master:
        old = master.ready()[0].pid
        master.release("b", standby_s=600)
        master.install("b")
        assert master.reload() == "succeeded"
        master.release("c", fault="dies")
        master.install("c")
        assert master.reload() == "failed: new worker 0 exited with 7"
        assert master.ask()[0] == "b"
        assert master.reload(number=signal.SIGUSR2) == "went back to a"
        assert master.ask() == ["a", str(old)]


def test_standby_ends_by_itself(tmp_path: Path) -> None:
    with SmallMaster(tmp_path).start() as master:
        master.release("b", standby_s=1)
        master.install("b")
        assert master.reload() == "succeeded"
        master.wait_for(lambda: len(master.status.children) == 1, "the end of the standby")
        assert master.status.slots[0].restarts == 0


def test_without_standby_the_way_back_is_an_upgrade(tmp_path: Path) -> None:
    with SmallMaster(tmp_path).start() as master, Questions(master) as questions:
        master.release("b")
        master.install("b")
        assert master.reload() == "succeeded"
        assert master.reload(number=signal.SIGUSR2) == "succeeded"
        assert master.status.release == "a"
        assert master.ask()[0] == "a"
    assert questions.failures == []
