"""What all benchmarks share: turns, ratios and their intervals, reports, progress, open loops."""

from __future__ import annotations

import asyncio
import io
import json
import random
import threading
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from benchmarks.machine import describe
from benchmarks.open_loop import Client, Sample, at_rate, request_of
from benchmarks.pairs import ratio, summarise, take_turns
from benchmarks.progress import Progress
from benchmarks.report import Report, Section, Table, duration, show_section

if TYPE_CHECKING:
    from collections.abc import Callable


# ---- pairs


def test_every_way_has_one_turn_in_an_order_that_varies() -> None:
    rng, orders = random.Random(1), set()
    for _ in range(60):
        order: list[str] = []

        def way(name: str, order: list[str] = order) -> Callable[[], str]:
            return lambda: order.append(name) or name  # type: ignore[func-returns-value]

        turns = take_turns({name: way(name) for name in "abc"}, rng)
        assert {name: turn.outcome for name, turn in turns.items()} == {
            "a": "a",
            "b": "b",
            "c": "c",
        }
        assert all(turn.cpu_s >= 0 and turn.elapsed_s >= 0 for turn in turns.values())
        orders.add("".join(order))
    assert len(orders) == 6


def test_waiting_counts_as_elapsed_and_not_as_cpu_time() -> None:
    never = threading.Event()
    turn = take_turns({"wait": lambda: never.wait(0.2)}, random.Random(1))["wait"]
    assert turn.elapsed_s >= 0.19
    assert turn.cpu_s < 0.1


def test_summary_of_known_times() -> None:
    found = summarise([float(n) for n in range(101)])
    assert (found.count, found.median_s, found.p99_s, found.slowest_s) == (101, 50.0, 99.0, 100.0)


def test_ratio_of_known_times() -> None:
    rng = random.Random(2)
    faster = [rng.lognormvariate(0, 0.5) for _ in range(400)]
    slower = [8 * time * rng.lognormvariate(0, 0.1) for time in faster]
    found = ratio(slower, faster, seed=1)
    assert found.low < 8 < found.high
    assert found.low < found.value < found.high
    assert found.high / found.low < 1.4
    assert found == ratio(slower, faster, seed=1)


def test_interval_keeps_pairs_together() -> None:
    # Times vary a thousandfold from one piece of work to the next, their ratio not at all.
    # Resampled apart from each other, the two would give an interval of a factor of ten.
    faster = [1.0001**n * 10 ** (n % 4) for n in range(200)]
    found = ratio([3 * time for time in faster], faster, seed=1)
    assert (found.low, found.value, found.high) == pytest.approx((3, 3, 3))


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng, covered = random.Random(3), 0
    for number in range(100):
        faster = [rng.lognormvariate(0, 0.3) for _ in range(40)]
        slower = [5 * rng.lognormvariate(0, 0.3) for _ in faster]
        found = ratio(slower, faster, number)
        covered += found.low <= 5 <= found.high
    assert 88 <= covered <= 100


@pytest.mark.parametrize(("slower", "faster"), [([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([], [])])
def test_ratio_wants_pairs(slower: list[float], faster: list[float]) -> None:
    with pytest.raises(ValueError, match="in pairs"):
        ratio(slower, faster, seed=1)


def test_ratio_of_times_that_do_not_vary() -> None:
    assert str(ratio([6.0, 6.0], [2.0, 2.0], seed=1)) == "3 (3 to 3)"


# ---- reports


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0.00 µs"), (2.5e-6, "2.50 µs"), (99.94e-6, "99.9 µs"), (0.000_9, "900 µs"),
     (0.001, "1.00 ms"), (0.0123, "12.3 ms"), (0.456, "456 ms"), (1.0, "1.00 s"), (75.4, "75.4 s")],
)  # fmt: skip
def test_durations_are_read_in_their_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def example() -> Report:
    table = Table(("family", "count"), [("a|b", "1"), ("[red]", "2")])
    section = Section(
        "part", "A part", ["What was done [bold]."], [table], {"count": 3}, ["it is wrong"]
    )
    return Report("An example", describe(["rich"]), [section])


def test_report_as_json_and_markdown() -> None:
    report = example()
    found = json.loads(report.json())
    assert found["part"] == {"count": 3}
    assert found["failures"] == ["it is wrong"] == report.failures
    assert set(found["machine"]["packages"]) == {"rich"}
    assert found["machine"]["cores"] >= 1
    text = report.markdown()
    assert "| family | count |\n| --- | ---: |\n| a/b | 1 |\n| [red] | 2 |" in text
    assert "**it is wrong**" in text


def test_report_on_a_terminal_takes_no_text_for_markup() -> None:
    shown = io.StringIO()
    show_section(example().sections[0], Console(file=shown, width=80))
    assert "[red]" in shown.getvalue()
    assert "[bold]" in shown.getvalue()
    assert "FAILED: it is wrong" in shown.getvalue()


# ---- progress


def test_progress_without_a_terminal_is_a_line_now_and_then() -> None:
    shown, now = io.StringIO(), 0.0
    progress = Progress(Console(file=shown, width=80), clock=lambda: now)
    with progress.steps("work", 1000) as step:
        for _ in range(1000):
            now += 0.025
            step()
    lines = shown.getvalue().splitlines()
    assert lines[0] == "bench: work, 1,000 steps"
    assert len(lines) == 3
    assert lines[1].endswith("of 1,000")


def test_progress_on_a_terminal_leaves_nothing() -> None:
    shown = io.StringIO()
    console = Console(file=shown, width=80, force_terminal=True)
    with Progress(console).steps("work", 2) as step:
        step()
        step()
    assert "work" in shown.getvalue()
    assert "bench:" not in shown.getvalue()


# ---- open loops


async def server(stall_s: float, at: int) -> tuple[asyncio.Server, int]:
    """A server whose loop stands still once, at its request of that number."""
    served, free_at = 0, 0.0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served, free_at
        loop = asyncio.get_running_loop()
        while True:
            try:
                await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                return
            served += 1
            if served == at:
                free_at = loop.time() + stall_s
            await asyncio.sleep(max(0.0, free_at - loop.time()))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")

    started = await asyncio.start_server(serve, "127.0.0.1", 0)
    return started, int(started.sockets[0].getsockname()[1])


def test_stall_is_seen_by_every_request_that_falls_into_it() -> None:
    async def measure() -> list[float]:
        listening, port = await server(stall_s=0.5, at=20)
        client = Client(lambda: asyncio.open_connection("127.0.0.1", port))
        samples = await at_rate(client, request_of("GET", "/health"), rate_hz=100, seconds=1)
        await client.close()
        listening.close()
        assert [sample.status for sample in samples] == [200] * 100
        intended = [sample.intended - samples[0].intended for sample in samples]
        assert intended == pytest.approx([n / 100 for n in range(100)])
        # The stall is the server's: no request waits for the answer of another.
        assert max(sample.lateness_s for sample in samples) < 0.25
        return [sample.latency_s for sample in samples]

    latencies = asyncio.run(measure())
    # Half a second of a hundred requests a second: a client that waits would have seen one.
    assert sum(latency > 0.1 for latency in latencies) >= 35
    assert max(latencies) >= 0.49


def test_latency_counts_from_the_intended_time() -> None:
    sample = Sample(intended=1.0, sent=1.5, answered=3.0, status=200)
    assert (sample.latency_s, sample.lateness_s) == (2.0, 0.5)


def test_request_with_a_body() -> None:
    found = request_of("POST", "/productionplan", b"{}")
    head, _, body = found.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /productionplan HTTP/1.1\r\nHost: localhost\r\n")
    assert b"Content-Length: 2" in head
    assert body == b"{}"


def test_connection_that_ends_early_is_an_error() -> None:
    async def ask() -> None:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nOK")
            writer.close()

        listening = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        client = Client(lambda: asyncio.open_connection("127.0.0.1", port))
        try:
            await client.ask(request_of("GET", "/"))
        finally:
            listening.close()

    with pytest.raises(EOFError):
        asyncio.run(ask())
