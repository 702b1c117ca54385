"""Servers that take turns: each gets its slices, and what disturbs one leaves the level alone."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import msgspec
import psutil
import pytest

from benchmarks.http.arms import Bench, Effort
from benchmarks.http.sender import sender
from benchmarks.http.slices import Server, Slices, levels
from benchmarks.http.stack import Stack
from benchmarks.peers.probe import answers
from benchmarks.peers.processes import Command, listens, running, wait_until
from benchmarks.peers.session import UnmeasuredError
from benchmarks.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@contextmanager
def bare(folder: Path) -> Iterator[tuple[psutil.Process, str]]:
    """A server that answers everything, and its address."""
    address, log = f"127.0.0.1:{free_port()}", folder / f"{free_port()}.log"
    command = Command((sys.executable, "-m", "benchmarks.peers.apps.bare", "1", address))
    with running(command, log) as process:
        wait_until(lambda: answers(address), process, log, "the bare protocol")
        yield process, address


@pytest.fixture
def stacks(tmp_path: Path) -> Iterator[dict[str, Stack]]:
    with ExitStack() as stack:
        made = {arm: stack.enter_context(bare(tmp_path)) for arm in ("A1", "B1")}
        yield {
            arm: Stack(arm, address, {"control": [process]})
            for arm, (process, address) in made.items()
        }


@pytest.fixture
def slices(stacks: dict[str, Stack]) -> Slices:
    servers = [stack.server(REQUEST, "control") for stack in stacks.values()]
    return Slices(servers=servers, connections=2, seconds=0.02, sweeps=3)


def test_each_server_has_a_turn_in_each_sweep_over_kept_connections(slices: Slices) -> None:
    with sender(None) as sent:
        found = sent.send(slices)
        again = sent.send(msgspec.structs.replace(slices, rate_hz=500.0))
    for of in (found, again):
        assert of.errors == [{}, {}]
        assert [len(turns) for turns in of.slices] == [3, 3]
        for turns, spent_s in zip(of.slices, of.spent_s, strict=True):
            assert all(turn.answered > 0 for turn in turns)
            # The sweep that warms up is in what was spent in all, and in no slice.
            assert 0 < sum(turn.cpu_s for turn in turns) < spent_s
    assert all(turn.seconds > 0.015 and not turn.latencies_s for turn in found.slices[0])
    assert [len(turn.latencies_s) for turn in again.slices[1]] == [10, 10, 10]


def test_server_that_is_gone_is_named_and_gets_no_more_turns(slices: Slices) -> None:
    nowhere = Server(address="127.0.0.1:1", request=REQUEST, pids=[])
    with sender(None) as sent:
        found = sent.send(msgspec.structs.replace(slices, servers=[slices.servers[0], nowhere]))
    assert found.errors == [{}, {"no connection": 2}]
    assert found.slices == [[], []]


def test_sender_that_dies_is_told(slices: Slices) -> None:
    with sender(None) as sent:
        sent._process.kill()
        with pytest.raises(UnmeasuredError, match="load generator"):
            sent.send(slices)


def test_arm_without_an_answer_is_named_and_no_other(stacks: dict[str, Stack]) -> None:
    gone = Stack("B1", "127.0.0.1:1", stacks["B1"].serving)
    steps: list[int] = []
    with sender(None) as sent:
        bench = Bench(sent, Effort(0.02, 12, 3), {}, lambda: steps.append(1))
        right = bench.load_all(["control"], stacks, ["A1", "B1"])
        wrong = bench.load_all(["control"], {**stacks, "B1": gone}, ["A1", "B1"])
    assert steps == [1, 1]
    assert right.failures == {}
    assert set(right.figures) == {"http/control cpu"}
    assert set(right.figures["http/control cpu"]) == {"A1", "B1"}
    assert set(wrong.failures) == {("http/control", "B1")}
    assert wrong.failures["http/control", "B1"].startswith("B1 cannot be asked")


def test_process_that_is_not_the_one_that_serves_is_an_error(stacks: dict[str, Stack]) -> None:
    """Its CPU time would be that of nothing, and any slowdown invisible."""
    argv = (sys.executable, "-c", "print(flush=True); input()")
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as idle:
        assert idle.stdout is not None
        idle.stdout.readline()
        serving = {"control": [psutil.Process(idle.pid)]}
        idler = Stack("B1", stacks["B1"].address, serving)  # type: ignore[arg-type]
        with sender(None) as sent:
            bench = Bench(sent, Effort(0.02, 3, 3), {}, lambda: None)
            found = bench.load_all(["control"], {**stacks, "B1": idler}, ["A1", "B1"])
        idle.communicate(b"\n")
    assert found.failures["http/control", "B1"] == "B1 used no CPU time in 3 of 3 slices"


def test_answer_of_another_at_its_port_is_not_its_own(tmp_path: Path) -> None:
    with bare(tmp_path) as (process, address):
        assert listens(process, address)
        with subprocess.Popen((sys.executable, "-c", "input()"), stdin=subprocess.PIPE) as other:
            assert not listens(psutil.Process(other.pid), address)
            other.kill()


def test_level_follows_neither_a_slow_sweep_nor_a_disturbed_slice() -> None:
    figures = {"A1": [1.0] * 10, "B1": [1.1] * 10, "B2": [1.1] * 10, "A2": [1.0] * 10}
    plain = levels(figures)
    assert plain == pytest.approx({"A1": 1.0, "B1": 1.1, "B2": 1.1, "A2": 1.0}, rel=0.05)
    for sweep in (3, 4, 5):
        for of in figures.values():
            of[sweep] *= 1.5
    figures["A1"][8] *= 3
    disturbed = levels(figures)
    for arm, level in plain.items():
        assert disturbed[arm] == pytest.approx(level)
