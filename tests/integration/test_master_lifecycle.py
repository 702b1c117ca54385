"""A master's workers from their start to their end: crash loops, orphans, and the way out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from app.prctl import ORPHANED
from tests.small_master import Questions, SmallMaster
from tests.small_release import PATIENCE_S
from tests.support import wait_for

if TYPE_CHECKING:
    from pathlib import Path

NEW_PIDS = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc",
            "--kill-child")  # fmt: skip


def can_be_pid_1() -> bool:
    """Whether this machine lets us be the first process of a namespace."""
    try:
        done = subprocess.run((*NEW_PIDS, "true"), capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def test_worker_that_dies_again_and_again_is_started_ever_later(tmp_path: Path) -> None:
    with SmallMaster(tmp_path).start() as master:
        (tmp_path / "run" / "fault").touch()
        os.kill(master.ready()[0].pid, signal.SIGKILL)
        master.wait_for(lambda: master.status.slots[0].failures >= 4, "a crash loop")
        slot = master.wait_for(
            lambda: next((s for s in master.status.slots if s.respawn_at is not None), None),
            "a pause",
        )
        assert slot.last_exit == "exited with 7"
        assert slot.respawn_at - time.monotonic() > 0.1
        (tmp_path / "run" / "fault").unlink()
        master.wait_for(master.ready, "service again")
        assert master.ask()[0] == "a"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_master_finishes_what_is_under_way_and_leaves_nothing(
    tmp_path: Path, number: signal.Signals
) -> None:
    with SmallMaster(tmp_path).start(workers=2) as master:
        workers = [psutil.Process(child.pid) for child in master.ready()]
        asking = subprocess.Popen(
            (sys.executable, "-c", CLIENT, str(tmp_path / "run" / "worker-0.sock")),
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert asking.stdout is not None
        assert asking.stdout.readline() == "asked\n"
        master.tell(number)
        assert asking.communicate(timeout=PATIENCE_S)[0].split() == ["a", str(workers[0].pid)]
        assert master.process.wait(PATIENCE_S) == 0
        assert psutil.wait_procs(workers, PATIENCE_S)[1] == []
        assert list((tmp_path / "run").iterdir()) == []


CLIENT = """
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.sendall(b"slow 1\\n")
print("asked", flush=True)
print(client.recv(100).decode())
"""


def test_workers_that_do_not_end_are_killed_in_time(tmp_path: Path) -> None:
    with SmallMaster(tmp_path).start(workers=2, drain_timeout_s=1) as master:
        for child in master.ready():
            os.kill(child.pid, signal.SIGSTOP)
        master.tell(signal.SIGTERM)
        assert master.process.wait(PATIENCE_S) == 0
        assert master.log.count("worker late") == 2


def test_workers_of_a_killed_master_serve_until_another_s_do(tmp_path: Path) -> None:
    with SmallMaster(tmp_path).start(workers=2, orphan_serves_s=PATIENCE_S) as master:
        old = [child.pid for child in master.ready()]
        with Questions(master, slots=2) as questions:
            master.process.kill()
            master.process.wait()
            assert master.ask()[1] == str(old[0])
            with SmallMaster(tmp_path).start("b", workers=2, predecessors=old) as heir:
                _, left = psutil.wait_procs(map(psutil.Process, old), PATIENCE_S)
                assert left == []
                assert heir.ask()[0] == "b"
                assert "serve on" in heir.log
        assert questions.failures == []


def test_workers_of_a_killed_master_that_do_not_end_are_killed(tmp_path: Path) -> None:
    with SmallMaster(tmp_path).start(orphan_serves_s=PATIENCE_S) as master:
        (old,) = (psutil.Process(child.pid) for child in master.ready())
        master.process.kill()
        master.process.wait()
        old.suspend()
        with SmallMaster(tmp_path).start("b", predecessors=[old.pid], drain_timeout_s=0.1):
            assert psutil.wait_procs([old], PATIENCE_S)[1] == []


def test_workers_of_a_killed_master_end_with_the_next_that_is_stopped_at_once(
    tmp_path: Path,
) -> None:
    with SmallMaster(tmp_path).start(orphan_serves_s=PATIENCE_S) as master:
        (old,) = (psutil.Process(child.pid) for child in master.ready())
        master.process.kill()
        master.process.wait()
        old.suspend()  # so that there is something to end
        with SmallMaster(tmp_path).start("b", predecessors=[old.pid], drain_timeout_s=0.1) as heir:
            heir.tell(signal.SIGTERM)
            assert heir.process.wait(PATIENCE_S) == 0
            assert not old.is_running()


def test_workers_without_a_master_end_after_a_while_and_at_once_where_they_do_not_serve(
    tmp_path: Path,
) -> None:
    with SmallMaster(tmp_path).start(standby_s=PATIENCE_S, orphan_serves_s=1) as master:
        master.release("b", standby_s=PATIENCE_S, orphan_serves_s=1)
        master.install("b")
        assert master.reload() == "succeeded"
        standby, serving = (
            psutil.Process(master.children(state)[0].pid) for state in ("standby", "ready")
        )
        master.process.kill()
        master.process.wait()
        before = time.monotonic()
        assert psutil.wait_procs([standby], PATIENCE_S)[1] == []
        assert master.ask() == ["b", str(serving.pid)]
        serving.send_signal(ORPHANED)  # as the launcher of the next master does
        assert psutil.wait_procs([serving], PATIENCE_S)[1] == []
        assert time.monotonic() - before >= 1


@pytest.mark.skipif(not can_be_pid_1(), reason="no namespace of processes may be made here")
def test_pid_1_reaps_orphans_and_ends_its_workers_on_sigterm(tmp_path: Path) -> None:
    with SmallMaster(tmp_path, NEW_PIDS).start(workers=2, drain_timeout_s=2) as master:
        assert master.status.pid == 1
        (inner,) = psutil.Process(master.pid).children()
        assert master.ask("orphan")[0] == "a"
        wait_for(
            lambda: [p.status() for p in inner.children()].count(psutil.STATUS_ZOMBIE) == 0
            and len(inner.children()) == 2,
            "the end of the orphan", PATIENCE_S,
        )  # fmt: skip
        inner.send_signal(signal.SIGHUP)
        master.wait_for(lambda: master.status.reload == "succeeded", "an upgrade as pid 1")
        inner.send_signal(signal.SIGTERM)
        assert master.process.wait(PATIENCE_S) == 0
        assert not inner.is_running()
