"""Recycling: each limit, one worker at a time, and no failed request."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from app.process.recycling import pss_bytes
from tests.small_master import Questions, SmallMaster

if TYPE_CHECKING:
    from pathlib import Path


def test_workers_that_have_served_enough_are_replaced_without_a_failed_request(
    tmp_path: Path,
) -> None:
    facts: dict[str, Any] = {"workers": 2, "recycling": {"requests": 1}, "heartbeat_timeout_s": 5}
    with SmallMaster(tmp_path).start(**facts) as master, Questions(master, slots=2) as questions:
        first = {child.pid for child in master.ready()}
        seen: set[int] = set()
        most = 0

        def replaced_twice() -> bool:
            nonlocal most
            children = master.status.children
            most = max(most, len(children))
            seen.update(child.pid for child in children)
            return len(seen - first) >= 4

        master.wait_for(replaced_twice, "two rounds of replacements")
        assert "it has served" in master.log
        assert {slot.restarts for slot in master.status.slots} == {0}
    assert questions.failures == []
    assert most == 3, "one is replaced at a time, and its replacement stands beside it"


@pytest.mark.parametrize(
    ("limits", "words", "reason"),
    [
        ({"age_s": 0.5}, "who", "s old"),
        ({"memory_bytes": 60 << 20}, "grow 100", "MB of memory"),
    ],
    ids=["age", "memory"],
)
def test_worker_beyond_a_limit_is_replaced(
    tmp_path: Path, limits: dict[str, Any], words: str, reason: str
) -> None:
    with SmallMaster(tmp_path).start(recycling=limits) as master:
        worker = int(master.ask(words)[1])
        master.wait_for(lambda: reason in master.log, "recycling")
        master.wait_for(
            lambda: worker not in [child.pid for child in master.status.children], "its end"
        )
        assert master.ask()[0] == "a"


def test_worker_below_its_limits_stays(tmp_path: Path) -> None:
    limits = {"age_s": 600, "requests": 1000, "memory_bytes": 1 << 30}
    with SmallMaster(tmp_path).start(recycling=limits) as master:
        worker = master.ready()[0].pid
        assert {master.ask()[1] for _ in range(50)} == {str(worker)}


def test_replacement_that_fails_leaves_the_worker_and_is_tried_again(tmp_path: Path) -> None:
    with SmallMaster(tmp_path).start(recycling={"age_s": 1}) as master:
        worker = master.ready()[0].pid
        (tmp_path / "run" / "fault").touch()
        master.wait_for(lambda: master.log.count("replacement failed") >= 2, "two attempts")
        assert master.ask() == ["a", str(worker)]
        assert master.status.slots[0].last_exit == "its replacement exited with 7"
        (tmp_path / "run" / "fault").unlink()
        master.wait_for(lambda: master.ready() and master.ready()[0].pid != worker, "another")


def test_worker_of_a_release_that_was_given_up_is_replaced(tmp_path: Path) -> None:
    with SmallMaster(tmp_path).start(workers=2) as master:
        # The first slot's old worker dies while the second's new one holds up the upgrade, so the
        # first is served by the new release alone when that one is given up.
        master.release("b", workers=2, fault_of_slot=1, start_timeout_s=4)
        master.install("b")
        os.kill(master.pid, 1)
        master.wait_for(lambda: master.children("ready", "b"), "the first new worker")
        os.kill(master.ready("a")[0].pid, 9)
        master.wait_for(lambda: master.status.reload.startswith("failed"), "the verdict")
        master.wait_for(lambda: len(master.ready("a")) == 2, "the old release in both slots")
        master.wait_for(lambda: len(master.status.children) == 2, "nothing else")


def test_share_of_memory_is_less_than_what_is_resident() -> None:
    found = pss_bytes(os.getpid())
    assert found is not None
    assert 1 << 20 < found < 1 << 30
    assert pss_bytes(2**22 + 1) is None
