"""What a master hands to its successor, and what it leaves for `windlass status` to read."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from app.process import state
from app.process.state import HANDOVER_VARIABLE, Child, Launch, MasterState, Slot
from tests.support import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def some_state(pid: int) -> MasterState:
    return MasterState(
        pid=pid,
        started=1700000000.25,
        generation=3,
        release="1.2.3-0123456",
        slots=[Slot(7, "/run/w/worker-0.sock", 2, "killed by SIGKILL", 1, 12.5), Slot(8, "/b c")],
        children=[Child(41, 0, 2, 5.5, "a", "stopping", -1, 99.5), Child(42, 0, 3, 6.5, "b")],
        reload="failed: it \u201cbroke\u201d\n",
        reloads=4,
    )


# ---- for status


def test_status_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "master.json"
    state.write_status(path, some_state(5))
    assert state.read_status(path) == some_state(5)


def test_status_replaces_the_one_before_and_leaves_no_half_file(tmp_path: Path) -> None:
    path = tmp_path / "master.json"
    for pid in (5, 6):
        state.write_status(path, some_state(pid))
    assert state.read_status(path) == some_state(6)
    assert list(tmp_path.iterdir()) == [path]


def test_reader_of_the_old_status_is_not_disturbed_by_the_new(tmp_path: Path) -> None:
    path = tmp_path / "master.json"
    state.write_status(path, some_state(5))
    with path.open("rb") as file:
        state.write_status(path, some_state(6))
        assert msgspec.json.decode(file.read(), type=MasterState) == some_state(5)


def test_no_status_is_none(tmp_path: Path) -> None:
    assert state.read_status(tmp_path / "master.json") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid": "x"}'])
def test_status_that_is_broken_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "master.json"
    path.write_text(text)
    assert state.read_status(path) is None


def test_status_tells_nothing_of_how_releases_were_started(tmp_path: Path) -> None:
    path = tmp_path / "master.json"
    launch = Launch(["/bin/windlass"], [b"TOKEN=hush"], [b"REDIS_PASSWORD=hush"])
    written = some_state(5)
    written.current = written.previous = written.earlier = written.target = launch
    state.write_status(path, written)
    assert b"hush" not in path.read_bytes()
    assert b"aHVzaA" not in path.read_bytes(), "nor in base64"
    assert written.current is launch


# ---- for the successor


def test_environment_survives_whatever_its_bytes() -> None:
    environ = {"A": "", "B": "x=y", "C": os.fsdecode(b"\xff\n"), os.fsdecode(b"D\xfe"): "\u00e9"}
    handed = some_state(os.getpid())
    handed.previous = Launch(["/bin/windlass", "serve"], state.entries(environ))
    found = state.from_environment(state.to_environment(handed))
    assert found is not None
    assert found.previous is not None
    assert state.mapping_of(found.previous.environ) == environ


def test_handover_of_an_older_and_of_a_newer_release_is_understood() -> None:
    old = {"pid": os.getpid(), "started": 1.5, "generation": 2, "release": "a", "reloads": 1,
           "slots": [{"fd": 7, "path": "/w"}], "of a later release": 1,
           "children": [{"pid": 4, "slot": 0, "generation": 2, "started": 1.5, "release": "a"}],
           }  # fmt: skip
    descriptor = os.memfd_create("handover")
    os.write(descriptor, msgspec.json.encode(old))
    found = state.from_environment({HANDOVER_VARIABLE: str(descriptor)})
    assert found is not None
    assert found.previous is None
    assert (found.children[0].pulse_fd, found.children[0].spread) == (-1, 1.0)


def test_handover_in_the_same_process_arrives_whole() -> None:
    handed = some_state(os.getpid())
    environ = {"PATH": "/bin", **state.to_environment(handed)}
    assert state.from_environment(environ) == handed
    assert environ == {"PATH": "/bin"}, "no child inherits it"


def test_handover_to_another_process_is_none_and_is_taken_away_too() -> None:
    environ = state.to_environment(some_state(os.getpid() + 1))
    assert state.from_environment(environ) is None
    assert environ == {}


def test_start_without_a_handover_is_none() -> None:
    environ = {"PATH": "/bin"}
    assert state.from_environment(environ) is None
    assert environ == {"PATH": "/bin"}


@pytest.mark.parametrize("reloading", [False, True], ids=["steady", "while others still drain"])
def test_handover_of_as_many_workers_as_are_allowed_passes_exec(*, reloading: bool) -> None:
    # They are more than the kernel takes in one variable (MAX_ARG_STRLEN, 128 KiB).
    run = "/" + "r" * 79
    slots = [Slot(1000 + n, f"{run}/worker-{n}.sock", 1, "exited with 1") for n in range(256)]
    children = [
        Child(4_000_000 + n, n % 256, 20 + n // 256, 1700000000.123456, "1.2.3-0123456",
              "stopping" if n < 256 else "ready", -1, 1234567.891 if n < 256 else None)
        for n in range(0 if reloading else 256, 512)
    ]  # fmt: skip
    handed = MasterState(os.getpid(), 1700000000.1, 21, "1.2.3-0123456", slots, children)
    successor = (
        "import os, sys; from app.process import state; os.getpid = lambda: int(sys.argv[1]); "
        "found = state.from_environment(os.environ); print(len(found.slots), len(found.children))"
    )
    environ = {**os.environ, **state.to_environment(handed)}
    descriptor = int(environ[HANDOVER_VARIABLE])
    done = subprocess.run(
        (sys.executable, "-c", successor, str(os.getpid())),
        env=environ, pass_fds=(descriptor,), cwd=ROOT,
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    os.close(descriptor)
    assert done.stdout == f"{len(slots)} {len(children)}\n"
