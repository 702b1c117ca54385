"""A master's workers from their start to their end: crash loops, orphans, and the way out."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from app.prctl import ORPHANED
from app.proc import lives
from tests.small_master import Questions, SmallMaster
from tests.small_release import PATIENCE_S
from tests.support import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.fixture
def orphans(tmp_path: Path) -> Iterator[list[psutil.Process]]:
    """Two workers whose master was killed, and that are given time."""
    with SmallMaster(tmp_path).start(workers=2, orphan_serves_s=PATIENCE_S) as master:
        found = [psutil.Process(child.pid) for child in master.ready()]
        master.process.kill()
        master.process.wait()
        yield found
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def heir_of(orphans: list[psutil.Process], **facts: Any) -> dict[str, Any]:  # noqa: ANN401
    """The facts of the master that supervisord would start next."""
    pids = [process.pid for process in orphans]
    return {"workers": 2, "predecessors": pids, "orphan_serves_s": PATIENCE_S, **facts}


def test_workers_of_a_killed_master_serve_until_those_of_another_are_proven(
    tmp_path: Path, orphans: list[psutil.Process]
) -> None:
    heir = SmallMaster(tmp_path)
    heir.release("b", **heir_of(orphans, probation_s=1, start_s=0.5))
    with heir.run("b"), Questions(heir, slots=2) as questions:
        heir.wait_for(lambda: heir.ready("b"), "ready workers")
        assert heir.ask()[1] == str(orphans[0].pid), "on probation"
        assert psutil.wait_procs(orphans, PATIENCE_S)[1] == []
        assert heir.ask()[0] == "b"
        assert "serve on" in heir.log
    assert questions.failures == []
    assert set(questions.answers) == {"a", "b"}


def test_workers_of_a_killed_master_serve_while_those_of_another_are_not_ready(
    tmp_path: Path, orphans: list[psutil.Process]
) -> None:
    heir = SmallMaster(tmp_path)
    heir.release("b", **heir_of(orphans, fault="dies"))
    with heir.run("b"):
        heir.wait_for(lambda: heir.log.count("worker died") >= 4, "workers that die")
        assert [heir.ask(slot=slot)[1] for slot in (0, 1)] == [str(p.pid) for p in orphans]
        # What mends it is a reload, which need not wait for them.
        heir.release("c", **heir_of(orphans))
        heir.install("c")
        assert heir.reload() == "succeeded"
        assert psutil.wait_procs(orphans, PATIENCE_S)[1] == []
        assert heir.ask()[0] == "c"


def test_workers_of_a_killed_master_that_do_not_end_are_killed(
    tmp_path: Path, orphans: list[psutil.Process]
) -> None:
    orphans[0].suspend()
    with SmallMaster(tmp_path).start("b", **heir_of(orphans, drain_timeout_s=0.1)):
        assert psutil.wait_procs(orphans, PATIENCE_S)[1] == []


def test_workers_of_a_killed_master_end_with_the_next_although_it_never_served(
    tmp_path: Path, orphans: list[psutil.Process]
) -> None:
    heir = SmallMaster(tmp_path)
    heir.release("b", **heir_of(orphans, start_s=PATIENCE_S, drain_timeout_s=0.1))
    with heir.run("b"):
        heir.wait_for(lambda: "serve on" in heir.log, "a master that starts")
        heir.tell(signal.SIGTERM)
        assert heir.process.wait(PATIENCE_S) == 0
        assert not any(map(lives, orphans))


def test_workers_without_a_master_end_after_a_while_and_at_once_where_they_do_not_serve(
    tmp_path: Path,
) -> None:
    with SmallMaster(tmp_path).start(standby_s=PATIENCE_S, orphan_serves_s=2) as master:
        master.release("b", standby_s=PATIENCE_S, orphan_serves_s=2)
        master.install("b")
        assert master.reload() == "succeeded"
        standby, serving = (
            psutil.Process(master.children(state)[0].pid) for state in ("standby", "ready")
        )
        master.process.kill()
        master.process.wait()
        before = time.monotonic()
        assert psutil.wait_procs([standby], PATIENCE_S)[1] == []
        serving.send_signal(ORPHANED)  # as the launcher of the next master does
        assert psutil.wait_procs([serving], PATIENCE_S)[1] == []
        assert time.monotonic() - before >= 2


def test_workers_without_a_master_have_nobody_who_reads_what_they_write(tmp_path: Path) -> None:
    master = SmallMaster(tmp_path)
    master.release("a", orphan_serves_s=PATIENCE_S)
    reader, writer = os.pipe()
    with master.run("a", output=writer):
        os.close(writer)
        master.wait_for(master.ready, "a ready worker")
        (orphan,) = (psutil.Process(child.pid) for child in master.ready())
        master.process.kill()
        master.process.wait()
        output = Path(f"/proc/{orphan.pid}/fd/1")
        wait_for(lambda: str(output.readlink()) == os.devnull, "another output")
        os.close(reader)
        assert master.ask("print") == ["a", str(orphan.pid)]
        orphan.terminate()
        assert psutil.wait_procs([orphan], PATIENCE_S)[1] == []


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
