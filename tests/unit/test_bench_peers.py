"""The comparison with other servers: its load on real small servers, its figures, its words."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil
import pytest
from click.testing import CliRunner

from app.stack import render
from benchmarks.pairs import Ratio
from benchmarks.peers import generator, goals, plot, stacks, turns
from benchmarks.peers.command import command
from benchmarks.peers.comparison import against, best_peer, paired_ratio
from benchmarks.peers.environment import LOCK_FILE
from benchmarks.peers.generator import Load, Outcome, generate
from benchmarks.peers.paths import requests
from benchmarks.peers.probe import answers, ask
from benchmarks.peers.processes import Command, cpu_s, pss_mib, running, tree, wait_until, workers
from benchmarks.peers.servers import LIMIT, PEERS, TITLES, settings
from benchmarks.peers.session import UnmeasuredError
from benchmarks.peers.wire import Connection
from tests.support import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Answer = Callable[[int, asyncio.StreamWriter], Awaitable[None]]

REQUEST = requests()["/health"].content
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nOK\n"
FAILED = b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n"


@dataclass
class SmallServer:
    """A server that notes when each request came."""

    address: str = ""
    connections: int = 0
    arrivals: list[float] = field(default_factory=list)


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[SmallServer]:
    """Serve with `answer(number of the request, writer)`."""
    found = SmallServer()
    tasks = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.connections += 1
        tasks.add(asyncio.current_task())
        try:
            while not writer.is_closing():
                await reader.readuntil(b"\r\n\r\n")
                found.arrivals.append(time.monotonic())
                await answer(len(found.arrivals), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    found.address = f"{host}:{port}"
    try:
        yield found
    finally:
        server.close()
        await asyncio.gather(*filter(None, tasks), return_exceptions=True)


def measured(answer: Answer, **load: object) -> tuple[Outcome, SmallServer]:
    """What came of a load on a small server."""

    async def run() -> tuple[Outcome, SmallServer]:
        async with serving(answer) as server:
            options: dict[str, object] = {"connections": 4, "seconds": 0.2} | load
            made = Load(addresses=[server.address], request=REQUEST, **options)  # type: ignore[arg-type]
            return await generate(made), server

    return asyncio.run(run())


async def good(_number: int, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)


# ---- closed loop


def test_every_answer_is_counted_once() -> None:
    outcome, server = measured(good, warm_up_s=0.05)
    assert outcome.errors == {}
    assert outcome.total == len(server.arrivals)
    assert 0 < outcome.answered < outcome.total
    assert outcome.per_second == outcome.answered / outcome.seconds
    assert server.connections == 4


def test_a_status_beyond_2xx_is_an_error_and_no_answer() -> None:
    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        writer.write(FAILED if number % 3 == 0 else OK)

    outcome, server = measured(answer)
    assert outcome.errors == {"status 500": len(server.arrivals) // 3}
    assert outcome.total == len(server.arrivals) - len(server.arrivals) // 3


def test_a_connection_that_breaks_is_an_error_and_is_opened_again() -> None:
    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        if number == 5:
            writer.close()
        else:
            writer.write(OK)

    outcome, server = measured(answer)
    assert outcome.errors == {"a connection broken before its answer": 1}
    assert server.connections == 5
    assert outcome.total == len(server.arrivals) - 1


def test_a_connection_that_ends_in_good_order_is_no_error() -> None:
    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        last = number % 10 == 0
        writer.write(OK.replace(b"Content", b"Connection: close\r\nContent") if last else OK)
        if last:
            writer.close()

    outcome, server = measured(answer)
    assert outcome.errors == {}
    assert outcome.total == len(server.arrivals)
    assert server.connections > 4


@dataclass
class Ear:
    """Hears of one connection."""

    statuses: list[int] = field(default_factory=list)

    def opened(self, connection: Connection) -> None:
        connection.send(REQUEST)

    def answered(self, connection: Connection, status: int) -> None:
        assert not connection.waiting
        self.statuses.append(status)

    def lost(self, connection: Connection, reason: str) -> None:
        raise AssertionError(connection.address, reason)


@pytest.mark.parametrize("size", [1, 10, len(OK) - 2])
def test_an_answer_may_come_in_pieces(size: int) -> None:
    ear = Ear()
    connection = Connection(ear, "")
    connection.waiting = True
    pieces = [OK[at : at + size] for at in range(0, len(OK), size)]
    for piece in pieces[:-1]:
        connection.data_received(piece)
        assert ear.statuses == []
    connection.data_received(pieces[-1])
    assert ear.statuses == [200]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", "an answer without Content-Length"),
        (OK + b"more", "more bytes than were asked for"),
    ],
)
def test_what_is_no_single_answer_is_an_error(content: bytes, error: str) -> None:
    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        writer.write(content if number == 1 else OK)

    outcome, _ = measured(answer)
    assert outcome.errors == {error: 1}


def test_an_answer_that_never_comes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "LAST_ANSWERS_S", 0.1)

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        if number != 2:
            writer.write(OK)

    outcome, _ = measured(answer)
    assert outcome.errors == {"no answer": 1}


# ---- open loop


def test_requests_are_sent_at_their_times_and_never_before() -> None:
    outcome, server = measured(good, rate_hz=200.0, seconds=0.5)
    assert outcome.errors == {}
    assert len(server.arrivals) == outcome.total == outcome.answered == 100
    assert len(outcome.latencies_s) == len(outcome.lateness_s) == 100
    assert min(outcome.lateness_s) >= 0
    assert min(outcome.latencies_s) > 0
    assert server.arrivals[-1] - server.arrivals[0] > 0.4


def test_the_warm_up_is_sent_and_not_counted() -> None:
    outcome, server = measured(good, rate_hz=200.0, warm_up_s=0.1, seconds=0.3)
    assert len(server.arrivals) == outcome.total == 80
    assert outcome.answered == 60


def test_a_stall_is_seen_by_every_request_that_falls_into_it() -> None:
    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        if number == 20:
            await asyncio.sleep(0.3)  # the stall itself
        writer.write(OK)

    outcome, _ = measured(answer, rate_hz=100.0, seconds=0.8, connections=1)
    assert outcome.errors == {}
    assert outcome.answered == 80
    assert max(outcome.latencies_s) >= 0.29
    # One request is intended every 10 ms of the stall: half of them wait for half of it or more.
    assert sum(latency > 0.15 for latency in outcome.latencies_s) >= 14


def test_an_open_loop_loses_no_request_to_a_connection_that_ends() -> None:
    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        last = number % 10 == 0
        writer.write(OK.replace(b"Content", b"Connection: close\r\nContent") if last else OK)
        if last:
            writer.close()

    outcome, _ = measured(answer, rate_hz=200.0, seconds=0.5, connections=2)
    assert outcome.errors == {}
    assert outcome.answered == 100


# ---- processes


def test_a_server_is_measured_and_ends_with_all_its_processes(tmp_path: Path) -> None:
    address, log = f"unix:{tmp_path}/bare.sock", tmp_path / "log"
    bare = Command((sys.executable, "-m", "benchmarks.peers.apps.bare", "2", address))
    with running(bare, log) as process:
        wait_until(lambda: answers(address), process, log, "the bare protocol")
        family = tree(process)
        serving_it = workers(process)
        assert len(serving_it) == 2
        assert all(pss_mib(worker) > 1 for worker in serving_it)
        for request in requests().values():
            status, _, body = ask(address, request.content)
            assert status == 200
            assert request.sign in body
        outcome = turns.send(
            Load(addresses=[address], request=REQUEST, connections=4, seconds=0.2, cpu=0)
        )
        assert outcome.errors == {}
        assert outcome.total > 0
        assert cpu_s(process) > 0
    assert len(family) == 3
    assert not [each for each in family if psutil.pid_exists(each.pid)]


def test_a_server_that_does_not_come_up_is_quoted(tmp_path: Path) -> None:
    log = tmp_path / "log"
    broken = Command((sys.executable, "-c", "raise SystemExit('no such thing')"))
    with running(broken, log) as process, pytest.raises(UnmeasuredError, match="no such thing"):
        wait_until(lambda: False, process, log, "it")


def test_a_generator_that_fails_is_quoted() -> None:
    load = Load(addresses=["unix:/"], request=b"", connections=1, seconds=0.1, cpu=100_000)
    with pytest.raises(UnmeasuredError, match="Invalid argument"):
        turns.send(load)


# ---- figures


def test_a_ratio_is_the_geometric_mean_of_pairs() -> None:
    found = paired_ratio([20.0, 90.0], [10.0, 10.0])
    assert found.value == pytest.approx(18**0.5)
    assert found.low < found.value < found.high


def test_what_slows_a_whole_round_leaves_the_ratio() -> None:
    found = paired_ratio([30.0, 3.0, 300.0], [20.0, 2.0, 200.0])
    assert (found.value, found.low, found.high) == pytest.approx((1.5, 1.5, 1.5))


@pytest.mark.parametrize(
    ("ours", "theirs"), [([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([1, 0], [1, 1])]
)
def test_what_gives_no_ratio_is_refused(ours: list[float], theirs: list[float]) -> None:
    with pytest.raises(ValueError, match="a ratio takes"):
        paired_ratio(ours, theirs)


def test_the_best_peer_is_neither_ours_nor_the_limit() -> None:
    rates = {
        (name, "/"): [rate, rate + 1.0]
        for name, rate in {
            "windlass": 900.0, "windlass-logged": 800.0, LIMIT: 9000.0, "flask": 100.0,
            "starlette": 300.0, "tornado": 200.0,
        }.items()
    }  # fmt: skip
    assert best_peer(rates, "/", most=True) == "starlette"
    assert best_peer(rates, "/", most=False) == "flask"
    assert best_peer(rates, "/health", most=True) is None
    assert against(rates, "windlass", "/") is None
    assert against(rates, "fastapi", "/") is None
    compared = against(rates, "starlette", "/")
    assert compared is not None
    assert compared.value == pytest.approx(3.0, rel=0.01)


def test_a_round_without_an_answer_gives_no_ratio_and_fails() -> None:
    assert (
        against({("windlass", "/"): [0.0, 1.0], ("flask", "/"): [1.0, 1.0]}, "flask", "/") is None
    )
    nothing = Outcome(answered=0, seconds=1, total=0, errors={"status 500": 3}, latencies_s=[],
                      lateness_s=[])  # fmt: skip
    assert turns.failures({("flask", "/"): [nothing, nothing]}) == [
        "Flask on gunicorn, /: 6 times: status 500",
        "Flask on gunicorn, /: 2 times: a turn without a good answer",
    ]


def test_a_goal_is_reached_at_its_figure() -> None:
    exact = Ratio(1.2, 0.9, 1.6)
    assert goals.at_least("it", 1.2, exact, "Flask").reached
    assert not goals.at_least("it", 1.3, exact, "Flask").reached
    assert goals.at_most("it", 1.2, exact, "Flask").reached
    missed = goals.at_most("it", 1.0, exact, "Flask")
    assert not missed.reached
    unclear = goals.section([goals.untold(missed, "the client was late")])
    assert unclear.tables[0].rows[0][2:] == (
        f"{missed.measured}; the client was late",
        "cannot tell",
    )
    assert "Reached: 0 of 1" in unclear.notes[0]
    found = goals.section([goals.at_least("it", 1.0, exact, "Flask", 1.3)])
    assert "Reached: 1 of 1" in found.notes[0]
    assert found.tables[0].rows == [
        ("it", "at least 1, aim 1.3", "1.2 (0.9 to 1.6), best peer: Flask", "yes")
    ]
    assert found.failures == []


def test_equal_figures_draw_equal_pictures(tmp_path: Path) -> None:
    rates = {(name, "/"): [10.0, 12.0] for name in TITLES}
    said = plot.draw("It", rates, tmp_path / "new", "once")
    plot.draw("It", rates, tmp_path / "new", "again")
    assert "once.svg" in said
    for suffix in ("svg", "png"):
        once, again = (tmp_path / "new" / f"{name}.{suffix}" for name in ("once", "again"))
        assert once.read_bytes() == again.read_bytes()


# ---- what is compared is the same


def test_the_peers_page_is_ours() -> None:
    for name in ("base.html", "home.html"):
        ours = (ROOT / "app/web/templates" / name).read_text()
        theirs = (ROOT / "benchmarks/peers/apps/templates" / name).read_text()
        translated = _as_jinja(ours)
        for long, short in (
            ("services.settings.environment", "environment"),
            ("services.identity.release", "release"),
            ("services.identity.commit", "commit"),
            ("services.identity.title", "title"),
            ("services.demonstrates", "demonstrates"),
        ):
            translated = translated.replace(long, short)
        assert theirs == translated


def _as_jinja(template: str) -> str:
    """Tornado's template with each `end` named after what it ends."""
    opened: list[str] = []

    def named(tag: re.Match[str]) -> str:
        if tag[1] != "end":
            opened.append(tag[1])
            return tag[0]
        return f"{{% end{opened.pop()} %}}"

    return re.sub(r"{% (block|if|end)\b[^%]*%}", named, template)


def test_only_the_command_of_web_differs_behind_nginx(tmp_path: Path) -> None:
    environ = settings("windlass", "unix:///redis.sock") | {
        "STATE_DIR": str(tmp_path / "state"), "PORT": "18080", "WORKERS": "2",
    }  # fmt: skip
    made = stacks.plan_of(environ)
    render.write(made)
    before = made.supervisord_conf.read_text().splitlines()
    stacks.put_in_place_of_ours(made, Command(("/bin/peer", "--bind", "100%")))
    after = made.supervisord_conf.read_text().splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 1
    assert changed[0][0].endswith("-m app serve")
    assert changed[0][1].endswith("web supervisord /bin/peer --bind 100%%")


def test_every_package_of_the_peers_is_locked_by_hash() -> None:
    lock = LOCK_FILE.read_text()
    asked = LOCK_FILE.with_suffix(".in").read_text()
    names = re.findall(r"^([a-z][a-z0-9-]*)", asked, re.MULTILINE)
    assert {"flask", "granian", "uvicorn", "msgspec"} <= set(names)
    for name in names:
        assert re.search(rf"^{name}==[^\n]*\\\n    --hash=sha256:", lock, re.MULTILINE), name


def test_each_peer_is_an_option() -> None:
    said = CliRunner().invoke(command, ["--help"]).output
    assert all(name in said for name in (*PEERS, "direct", "latency", "nginx", "memory"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--peer", "django"], "'django' is not one of"),
        (["--path", "/nowhere"], "'/nowhere' is not one of"),
        (["--part", "all"], "'all' is not one of"),
        (["--rounds", "1"], "1 is not in the range"),
        (["--seconds", "0"], "0.0 is not in the range"),
        (["--connections", "0"], "0 is not in the range"),
        (["--json", "/nowhere/at/all.json"], "there is no folder /nowhere/at"),
    ],
)
def test_wrong_usage_is_refused_before_anything_starts(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 2
    assert words in done.output
