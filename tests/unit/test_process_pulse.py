"""The pulse: what counts as a silent worker, and what does not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from app.process import pulse
from app.process.pulse import Listener, Pulse

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def page() -> Iterator[int]:
    descriptor = pulse.make()
    yield descriptor
    os.close(descriptor)


def test_what_a_worker_writes_the_master_reads(page: int) -> None:
    worker, master = Pulse(page), Pulse(page)
    worker.beat(41)
    worker.beat(42)
    worker.accept(accepting=True)
    assert (master.beats, master.requests, master.is_accepting) == (2, 42, True)


def test_silence_adds_up_and_a_beat_ends_it(page: int) -> None:
    worker, listener = Pulse(page), Listener(Pulse(page))
    worker.beat()
    heard = [listener.look(now, 1.0) for now in (100.0, 101.0, 102.5)]
    assert heard == [0.0, 1.0, 2.5]
    worker.beat()
    assert listener.look(103.0, 1.0) == 0.0


def test_one_that_has_never_beaten_is_not_judged(page: int) -> None:
    listener = Listener(Pulse(page))
    assert [listener.look(now, 1.0) for now in (0.0, 50.0, 100.0)] == [0.0, 0.0, 0.0]


def test_time_in_which_the_master_did_not_look_hardly_counts(page: int) -> None:
    worker, listener = Pulse(page), Listener(Pulse(page))
    worker.beat()
    heard = [listener.look(now, 1.0) for now in (100.0, 101.0, 4000.0)]
    assert heard == [0.0, 1.0, 3.0]


@pytest.mark.parametrize(("timeout_s", "interval_s"), [(0, 1.0), (1, 0.2), (3, 0.6), (30, 1.0)])
def test_beats_come_at_most_once_a_second_and_five_times_within_the_timeout(
    timeout_s: float, interval_s: float
) -> None:
    assert pulse.beat_interval_s(timeout_s) == pytest.approx(interval_s)
