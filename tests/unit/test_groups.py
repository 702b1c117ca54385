"""Process groups: what a killed leader leaves behind is ended, and nothing else is.

Every process here is real; `app.stack.launch` records the leaders as it does under supervisord.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import psutil
import pytest

from app.prctl import ORPHANED
from app.stack import groups, launch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.stack.groups import Group

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 20.0

LEADER_WITH_CHILD = "sleep 300 & echo $!; wait"
LEADER_WITH_STUBBORN_CHILD = """(trap '' TERM; exec sleep 300) & echo $!; wait"""
LEADER_WITH_WORKER = f"""(trap '' TERM {int(ORPHANED)}; exec sleep 300) & echo $!; wait"""
LEADER_ALONE = "echo $$; exec sleep 300"


class Program:
    """A program with a process group of its own; `told` is the pid that its script printed."""

    def __init__(self, folder: Path, name: str, script: str) -> None:
        self._process = subprocess.Popen(
            launch.argv(folder, name, ("/bin/sh", "-c", script), parent=0),
            cwd=ROOT,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        self.pid = self._process.pid
        self.told = self._read_pid()

    def _read_pid(self) -> int:
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], DEADLINE_S)
        assert readable, "the program did not start in time"
        return int(self._process.stdout.readline())

    def kill_leader(self) -> None:
        self._process.kill()
        self._process.wait(DEADLINE_S)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(DEADLINE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str, str], Program]]:
    programs: list[Program] = []

    def start_program(name: str, script: str) -> Program:
        programs.append(Program(tmp_path, name, script))
        return programs[-1]

    yield start_program
    for program in programs:
        program.close()


@pytest.fixture
def parent_that_reaps_nobody() -> Iterator[subprocess.Popen[bytes]]:
    """A process whose child leads a group of its own and stays a zombie once it has ended."""
    script = (
        "import subprocess, sys; "
        "child = subprocess.Popen(('sleep', '300'), start_new_session=True); "
        "print(child.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        (sys.executable, "-c", script), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        readable, _, _ = select.select([parent.stdout], [], [], DEADLINE_S)
        assert readable, "the parent did not start in time"
        child = int(parent.stdout.readline())
        yield parent
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        parent.kill()


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_gone_in_time(pid: int) -> bool:
    deadline = time.monotonic() + DEADLINE_S
    while is_alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def write(folder: Path, name: str, group: Group) -> None:
    (folder / f"{name}.group").write_bytes(msgspec.json.encode(group))


def group_of(folder: Path, name: str) -> Group:
    group = groups.read(folder, name)
    assert group is not None
    return group


# ---- the record


def test_record_says_which_process_it_was_and_when_it_started(tmp_path: Path) -> None:
    groups.record_own(tmp_path, "web")
    group = group_of(tmp_path, "web")
    assert (group.pgid, group.user, group.starts) == (os.getpid(), os.getuid(), 1)
    assert group.started == pytest.approx(time.time(), abs=60)
    since_boot = psutil.Process().create_time() - psutil.boot_time()
    assert group.ticks / os.sysconf("SC_CLK_TCK") == pytest.approx(since_boot, abs=1)
    assert len(group.boot) == 36
    assert [path.name for path in tmp_path.iterdir()] == ["web.group"]


def test_record_counts_starts(tmp_path: Path) -> None:
    for _ in range(3):
        groups.record_own(tmp_path, "web")
    assert group_of(tmp_path, "web").starts == 3


def test_records_are_listed_and_forgotten_by_name(tmp_path: Path) -> None:
    for name in ("web", "nginx"):
        groups.record_own(tmp_path, name)
    (tmp_path / "master.json").touch()
    assert groups.recorded(tmp_path) == ["nginx", "web"]
    groups.forget(tmp_path, "web")
    groups.forget(tmp_path, "web")
    assert groups.recorded(tmp_path) == ["nginx"]
    assert groups.read(tmp_path, "web") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pgid": 1}', "\x00"])
def test_record_that_is_broken_is_none_and_sweeps_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "web.group").write_text(text)
    assert groups.read(tmp_path, "web") is None
    assert groups.sweep(tmp_path, "web") == []


def test_no_record_sweeps_nothing(tmp_path: Path) -> None:
    assert groups.sweep(tmp_path, "web") == []


# ---- the sweep


def test_child_of_a_killed_leader_is_ended_and_nobody_elses(
    tmp_path: Path, start: Callable[[str, str], Program]
) -> None:
    killed = start("web", LEADER_WITH_CHILD)
    bystander = start("nginx", LEADER_WITH_CHILD)
    killed.kill_leader()
    assert is_alive(killed.told)
    assert groups.sweep(tmp_path, "web") == [killed.told]
    assert is_gone_in_time(killed.told)
    assert is_alive(bystander.pid)
    assert is_alive(bystander.told)
    assert groups.sweep(tmp_path, "web") == []


def test_leader_that_lives_is_ended_with_its_child(
    tmp_path: Path, start: Callable[[str, str], Program]
) -> None:
    program = start("web", LEADER_WITH_CHILD)
    members = groups.members(group_of(tmp_path, "web"))
    assert {process.pid for process in members} == {program.pid, program.told}
    assert set(groups.sweep(tmp_path, "web")) == {program.pid, program.told}
    assert is_gone_in_time(program.pid)
    assert is_gone_in_time(program.told)


def test_child_that_ignores_sigterm_is_killed(
    tmp_path: Path, start: Callable[[str, str], Program]
) -> None:
    program = start("web", LEADER_WITH_STUBBORN_CHILD)
    program.kill_leader()
    assert groups.sweep(tmp_path, "web") == [program.told]
    assert is_gone_in_time(program.told)


def test_sweep_does_not_wait_for_a_parent_that_reaps_nobody(
    tmp_path: Path, parent_that_reaps_nobody: subprocess.Popen[bytes]
) -> None:
    # So are the orphans of a container whose first process is no init.
    leader = psutil.Process(parent_that_reaps_nobody.pid).children()[0]
    groups.record_own(tmp_path, "web")
    ticks = groups.start_ticks(leader.pid)
    group = msgspec.structs.replace(group_of(tmp_path, "web"), pgid=leader.pid, ticks=ticks)
    write(tmp_path, "web", group)
    before = time.monotonic()
    assert groups.sweep(tmp_path, "web") == [leader.pid]
    assert time.monotonic() - before < 1.5
    assert leader.status() == psutil.STATUS_ZOMBIE


def test_next_start_of_a_program_ends_what_its_last_left(
    tmp_path: Path, start: Callable[[str, str], Program]
) -> None:
    first = start("nginx", LEADER_WITH_CHILD)
    first.kill_leader()
    second = start("nginx", LEADER_ALONE)
    assert is_gone_in_time(first.told)
    assert second.told == second.pid, "the launcher becomes the program in the same process"
    group = group_of(tmp_path, "nginx")
    assert (group.pgid, group.starts) == (second.pid, 2)


def test_workers_of_a_killed_master_are_left_to_the_next(
    tmp_path: Path, start: Callable[[str, str], Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start(launch.MASTER, LEADER_WITH_WORKER)
    first.kill_leader()
    second = start(launch.MASTER, LEADER_ALONE)
    monkeypatch.setattr(os, "getpid", lambda: second.pid)
    (left,) = groups.left_to_this_start(tmp_path, launch.MASTER)
    assert left.pid == first.told
    assert is_alive(first.told)


def test_workers_are_found_although_the_next_start_could_not_be_recorded(
    tmp_path: Path, start: Callable[[str, str], Program]
) -> None:
    first = start(launch.MASTER, LEADER_WITH_WORKER)
    first.kill_leader()
    assert [p.pid for p in groups.left_to_this_start(tmp_path, launch.MASTER)] == [first.told]


def test_what_is_no_worker_yet_ends_when_the_next_master_starts(
    tmp_path: Path, start: Callable[[str, str], Program]
) -> None:
    first = start(launch.MASTER, LEADER_WITH_CHILD)
    first.kill_leader()
    start(launch.MASTER, LEADER_ALONE)
    assert is_gone_in_time(first.told)


def test_workers_are_swept_although_the_next_master_was_killed_as_well(
    tmp_path: Path, start: Callable[[str, str], Program]
) -> None:
    first = start(launch.MASTER, LEADER_WITH_WORKER)
    for _ in range(2):
        last = start(launch.MASTER, LEADER_ALONE)
        last.kill_leader()
    assert is_alive(first.told)
    assert groups.sweep(tmp_path, launch.MASTER) == [first.told]
    assert not is_alive(first.told)


def test_children_of_others_are_not_the_eldest() -> None:
    command = ("/bin/sh", "-c", "sleep 300 & echo; wait")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        parent = psutil.Process(shell.pid)
        family = [*parent.children(), parent]
        assert groups.eldest(family) == [parent]
        for process in family:
            process.kill()


def test_next_start_of_what_holds_a_port_waits(
    tmp_path: Path, start: Callable[[str, str], Program]
) -> None:
    first = start("nginx", LEADER_WITH_STUBBORN_CHILD)
    first.kill_leader()
    start("nginx", LEADER_ALONE)
    assert not is_alive(first.told)


def test_what_was_left_is_not_another_of_its_number(
    tmp_path: Path, start: Callable[[str, str], Program]
) -> None:
    first = start(launch.MASTER, LEADER_WITH_STUBBORN_CHILD)
    first.kill_leader()
    start(launch.MASTER, LEADER_ALONE).kill_leader()
    group = group_of(tmp_path, launch.MASTER)
    pid, _, ticks = group.left.partition("@")
    assert int(pid) == first.told
    left = f"{pid}@{int(ticks) - 1}"
    write(tmp_path, launch.MASTER, msgspec.structs.replace(group, left=left))
    assert groups.sweep(tmp_path, launch.MASTER) == []
    assert is_alive(first.told)


def test_group_without_anybody_left_sweeps_nothing(
    tmp_path: Path, start: Callable[[str, str], Program]
) -> None:
    program = start("web", LEADER_ALONE)
    program.kill_leader()
    assert groups.sweep(tmp_path, "web") == []


@pytest.mark.parametrize(
    "change",
    [{"ticks": -100}, {"ticks": 100}, {"boot": "another"}, {"user": 1}],
    ids=["pid used again", "pid used before", "another boot", "other user"],
)
def test_stale_record_sweeps_nothing(
    tmp_path: Path, start: Callable[[str, str], Program], change: dict[str, Any]
) -> None:
    stranger = start("web", LEADER_WITH_CHILD)
    right = group_of(tmp_path, "web")
    changed = {name: getattr(right, name) + difference for name, difference in change.items()}
    write(tmp_path, "web", msgspec.structs.replace(right, **changed))
    assert groups.sweep(tmp_path, "web") == []
    assert is_alive(stranger.pid)
    assert is_alive(stranger.told)


def test_clock_that_is_set_does_not_hide_what_is_left(
    tmp_path: Path, start: Callable[[str, str], Program]
) -> None:
    program = start("web", LEADER_WITH_CHILD)
    group = group_of(tmp_path, "web")
    write(tmp_path, "web", msgspec.structs.replace(group, started=group.started + 3600))
    assert set(groups.sweep(tmp_path, "web")) == {program.pid, program.told}


def test_program_whose_parent_died_first_does_not_start(tmp_path: Path) -> None:
    done = subprocess.run(
        launch.argv(tmp_path, "web", ("/bin/echo", "started"), parent=1),
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert "the parent died first" in done.stderr
