"""The memory in which processes count, and what is made of it."""

from __future__ import annotations

import itertools
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from app.telemetry import catalogue, history
from app.telemetry.memory import REGION_BYTES, Memory, Origin, Region
from app.telemetry.meter import NOBODY, Meter
from app.telemetry.totals import Requests, add_up, quantile, requests_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def memory() -> Iterator[Memory]:
    made = Memory.make()
    yield made
    os.close(made.descriptor)


def origin(pid: int, slot: int = 0, started: float = 1.0) -> Origin:
    return Origin("worker", slot, pid, started, "1.0", "f" * 40, "1.0-fffffff")


def region_of(memory: Memory, pid: int, **facts: float) -> Region:
    region = memory.free(frozenset())
    assert region is not None
    region.assign(pid)
    region.sign(origin(pid, int(facts.get("slot", 0)), facts.get("started", 1.0)))
    return region


def requests_in(memory: Memory) -> float:
    return requests_until(0.0, add_up(memory.read())).requests


def lost_in(memory: Memory) -> float:
    return add_up(memory.read()).sum_of(catalogue.LOST_SERIES.name)


def test_what_a_killed_process_has_counted_is_there(memory: Memory) -> None:
    region = memory.free(frozenset())
    assert region is not None
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        region.assign(os.getpid())
        region.sign(origin(os.getpid()))
        count = Meter(region).of_requests("GET", "/", 200)
        for _ in range(12_345):
            count(0.001)
        os.write(writer, b"x")
        time.sleep(60)
    os.read(reader, 1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    for descriptor in (reader, writer):
        os.close(descriptor)
    assert requests_in(memory) == 12_345
    memory.fold(region)
    assert requests_in(memory) == 12_345
    assert [part.origin for part in memory.read()] == [None]


def test_folding_adds_up_counters_and_forgets_gauges(memory: Memory) -> None:
    for pid in (1001, 1002, 1003):
        region = region_of(memory, pid)
        meter = Meter(region)
        meter.of_requests("GET", "/a", 200)(0.002)
        meter.of_requests("GET", "/b", 503)(0.002)
        meter.put(catalogue.LAG_WORST, 0.5)
        if pid != 1003:
            memory.fold(region)
    totals = add_up(memory.read())
    found = requests_until(5.0, totals)
    assert (found.requests, found.errors) == (6, 3)
    assert totals.gauge(catalogue.LAG_WORST.name) == {0: 0.5}
    assert [one.pid for one in totals.origins] == [1003]


def test_a_region_is_used_again_from_nothing(memory: Memory) -> None:
    first = region_of(memory, 1001)
    Meter(first).of_requests("GET", "/long/name/of/a/route", 200)(1.0)
    memory.fold(first)
    second = region_of(memory, 1002)
    assert second.number == first.number
    Meter(second).of_requests("GET", "/", 200)(1.0)
    (_, part) = memory.read()
    assert [sum(v[:-1]) for k, v in part.values.items() if k.name.endswith("seconds")] == [1]


def test_what_was_not_signed_is_nobodys(memory: Memory) -> None:
    region = memory.free(frozenset())
    assert region is not None
    region.assign(1001)
    Meter(region).of_requests("GET", "/health", 200)(0.0)
    assert requests_in(memory) == 0
    region.zero()
    region.sign(origin(1001))
    assert requests_in(memory) == 0
    other = memory.free(frozenset())
    assert other is not None
    other.assign(1002)
    Meter(other).of_requests("GET", "/health", 200)(0.0)
    memory.fold(other)
    assert requests_in(memory) == 0


def test_of_two_in_one_slot_the_younger_shows_its_gauges(memory: Memory) -> None:
    for pid, started, lag in ((1002, 20.0, 0.2), (1001, 10.0, 0.1)):
        Meter(region_of(memory, pid, started=started)).put(catalogue.LAG_WORST, lag)
    assert add_up(memory.read()).gauge(catalogue.LAG_WORST.name) == {0: 0.2}


def test_a_full_region_loses_series_and_says_so(memory: Memory) -> None:
    region = region_of(memory, 1001)
    meter = Meter(region)
    for number in range(REGION_BYTES // 256):
        meter.of_requests("GET", f"/{number}", 200)(0.001)
    for _ in range(3):
        meter.of_requests("BREW", "/", 405)(0.001)
    lost = lost_in(memory)
    assert lost > 1
    assert requests_in(memory) + lost == REGION_BYTES // 256 + 1, "a series is lost once"


def test_what_the_dead_have_no_room_for_is_said(memory: Memory) -> None:
    of_a_region = 400
    lost = 0
    for pid in (1001, 1002, 1003):
        region = region_of(memory, pid)
        meter = Meter(region)
        for number in range(of_a_region):
            meter.of_requests("GET", f"/{pid}/{number}", 200)(0.001)
        before = requests_in(memory)
        fallen = memory.fold(region)
        assert before - requests_in(memory) == fallen
        lost += fallen
    assert lost > of_a_region


def test_memory_of_another_layout_is_refused() -> None:
    descriptor = os.memfd_create("other")
    with pytest.raises(ValueError, match="size"):
        Memory(descriptor)
    os.truncate(descriptor, os.fstat(Memory.make().descriptor).st_size)
    with pytest.raises(ValueError, match="layout"):
        Memory(descriptor)
    os.close(descriptor)


def test_methods_of_a_stranger_make_no_series(memory: Memory) -> None:
    meter = Meter(region_of(memory, 1001))
    for number in range(50):
        meter.of_requests(f"METHOD{number}", "/", 405)(0.001)
    keys = list(add_up(memory.read()).of(catalogue.REQUEST_DURATION.name))
    assert [dict(key.labels)["method"] for key in keys] == ["OTHER"]


def test_nobody_counts_nothing() -> None:
    assert not NOBODY.counts
    NOBODY.of_requests("GET", "/", 200)(1.0)
    NOBODY.add(catalogue.WORKER_STARTS)


# ---- the hour


def sample(at: float, requests: float, errors: float = 0.0, slow: float = 0.0) -> Requests:
    size = len(catalogue.LATENCY_BOUNDS) + 1
    buckets = [0.0] * size
    buckets[3], buckets[9] = requests - slow, slow
    return Requests(at, requests, errors, tuple(buckets))


def test_ring_keeps_the_last_hour_and_no_more(memory: Memory) -> None:
    ring = history.History(memory)
    for number in range(1000):
        ring.append(sample(number * history.SAMPLE_S, float(number)))
    found = ring.samples()
    assert found[-1].requests == 999
    assert found[-1].at - found[0].at >= history.SPAN_S
    assert [b.requests - a.requests for a, b in itertools.pairwise(found)] == (
        [1.0] * (len(found) - 1)
    )


def test_ring_of_a_release_with_other_buckets_begins_anew(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as other:
        other.setattr(history, "_FORM", 1.0)
        history.History(memory).append(sample(10.0, 5.0))
    ring = history.History(memory)
    assert ring.samples() == []
    for at in (20.0, 30.0):
        ring.append(sample(at, at))
    assert [one.at for one in ring.samples()] == [20.0, 30.0]


def test_series_has_a_figure_where_there_were_samples_and_a_gap_elsewhere() -> None:
    samples = [sample(at, at * 2.0, at * 0.1) for at in range(10_000, 10_600, 10)]
    samples += [sample(at, at * 2.0) for at in range(10_900, 11_000, 10)]
    found = history.series(samples, 11_000.0)
    assert len(found.time) == len(found.p99_ms) == history.SPAN_S / history.STEP_S
    by_time = dict(zip(found.time, found.requests_per_s, strict=True))
    assert by_time[10_320.0] == 2.0
    assert by_time[10_800.0] is None
    errors = dict(zip(found.time, found.errors_per_s, strict=True))
    assert errors[10_320.0] == 0.1


def test_counting_that_began_anew_is_a_gap_and_not_a_fall() -> None:
    assert sample(20.0, 5.0).since(sample(10.0, 7.0)) is None


@pytest.mark.parametrize(
    ("share", "expected"), [(0.125, 0.5), (0.25, 1.0), (0.375, 1.5), (0.5, 2.0), (0.75, 3.0)]
)
def test_quantile_is_interpolated_within_its_bucket(share: float, expected: float) -> None:
    # Two up to 1, two from 1 to 2, four from 2 to 4.
    assert quantile(share, (1.0, 2.0, 4.0), (2, 2, 4, 0)) == expected


def test_quantile_beyond_all_bounds_is_the_highest_and_of_nothing_is_unknown() -> None:
    assert quantile(0.99, (1.0, 2.0), (0, 0, 5)) == 2.0
    assert quantile(0.5, (1.0, 2.0), (0, 0, 0)) is None
