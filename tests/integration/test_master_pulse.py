"""Workers that stand still are replaced, with their traceback in the log; busy ones are not."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.small_master import SmallMaster
from tests.support import wait_for

if TYPE_CHECKING:
    from pathlib import Path


def send(master: SmallMaster, words: str) -> threading.Thread:
    """Ask a worker for what it will not answer."""

    def ask() -> None:
        with contextlib.suppress(OSError):
            master.ask(words)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("words", "place"), [("block", "in _do"), ("spin", "in match")], ids=["sleep", "C loop"]
)
def test_blocked_worker_is_replaced_and_says_where_it_stood(
    tmp_path: Path, words: str, place: str
) -> None:
    with SmallMaster(tmp_path).start(heartbeat_timeout_s=0.5) as master:
        victim = master.ready()[0].pid
        asking = send(master, words)
        master.wait_for(lambda: master.ready() and master.ready()[0].pid != victim, "another")
        assert int(master.ask()[1]) == master.ready()[0].pid
        assert master.status.slots[0].last_exit == ("its event loop stood still; killed by SIGABRT")
        assert "most recent call first" in master.log
        assert place in master.log
        asking.join()


def test_stopped_worker_is_killed_after_its_grace(tmp_path: Path) -> None:
    with SmallMaster(tmp_path).start(heartbeat_timeout_s=0.5) as master:
        victim = master.ready()[0].pid
        os.kill(victim, signal.SIGSTOP)
        master.wait_for(lambda: master.ready() and master.ready()[0].pid != victim, "another")
        assert master.status.slots[0].last_exit.endswith("killed by SIGKILL")


def test_worker_that_is_merely_busy_is_let_alone(tmp_path: Path) -> None:
    with SmallMaster(tmp_path).start(heartbeat_timeout_s=1.5) as master:
        worker = master.ready()[0].pid
        assert master.ask("busy 4") == ["a", str(worker)]
        assert master.ready()[0].pid == worker
        assert master.status.slots[0].restarts == 0


def test_nobody_is_judged_for_the_time_in_which_all_were_stopped(tmp_path: Path) -> None:
    with SmallMaster(tmp_path).start(heartbeat_timeout_s=1.5) as master:
        worker = master.ready()[0].pid
        for pid in (master.pid, worker):
            os.kill(pid, signal.SIGSTOP)
        stopped = time.monotonic()
        wait_for(lambda: time.monotonic() > stopped + 3, "twice the timeout")
        os.kill(master.pid, signal.SIGCONT)
        # The master has looked several times before its worker runs again.
        looked = time.monotonic()
        wait_for(lambda: time.monotonic() > looked + 0.5, "the master's first looks")
        os.kill(worker, signal.SIGCONT)
        assert master.ask() == ["a", str(worker)]
        looked = time.monotonic()
        wait_for(lambda: time.monotonic() > looked + 1, "more looks")
        assert master.ready()[0].pid == worker


def test_old_workers_are_still_judged_after_an_upgrade_began(tmp_path: Path) -> None:
    with SmallMaster(tmp_path).start(heartbeat_timeout_s=0.5) as master:
        master.release("b", heartbeat_timeout_s=0.5, start_s=600)
        master.install("b")
        master.tell(signal.SIGHUP)
        master.wait_for(lambda: master.children("starting", "b"), "the new worker")
        victim = master.ready("a")[0].pid
        asking = send(master, "block")
        master.wait_for(lambda: "its event loop stood still" in master.log, "its end")
        assert victim not in [child.pid for child in master.status.children]
        asking.join()


def test_traceback_can_be_asked_for_without_harm(tmp_path: Path) -> None:
    with SmallMaster(tmp_path).start() as master:
        worker = master.ready()[0].pid
        os.kill(worker, signal.SIGUSR1)
        master.wait_for(lambda: "most recent call first" in master.log, "the traceback")
        assert master.ask() == ["a", str(worker)]
