"""The circuit breaker: when it opens and closes, and how long it pauses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.store.breaker import Breaker

SHORTEST_S = 0.05
LONGEST_S = 0.8


def breaker(random: float = 1.0) -> Breaker:
    return Breaker(threshold=3, shortest_s=SHORTEST_S, longest_s=LONGEST_S, random=lambda: random)


def test_opens_at_the_threshold_and_says_so_once() -> None:
    subject = breaker()
    assert [subject.fail("away") for _ in range(5)] == [False, False, True, False, False]
    assert subject.is_open
    assert subject.reason == "away"


def test_first_success_closes_it_and_pauses_are_short_again() -> None:
    subject = breaker()
    for _ in range(3):
        subject.fail("away")
    pauses = [subject.next_pause_s() for _ in range(7)]
    assert pauses == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 0.8, 0.8])
    assert subject.succeed()
    assert not subject.is_open
    assert not subject.succeed()
    assert subject.next_pause_s() == pytest.approx(SHORTEST_S)


@given(st.lists(st.booleans()))
def test_it_is_open_exactly_after_three_failures_in_a_row(failures: list[bool]) -> None:
    subject = breaker()
    row = 0
    for failed in failures:
        row = row + 1 if failed else 0
        if failed:
            assert subject.fail("away") == (row == 3)
        else:
            subject.succeed()
        assert subject.is_open == (row >= 3)


@given(st.integers(0, 50), st.floats(0, 1))
def test_no_pause_is_longer_than_the_longest_nor_none_at_all(asked: int, random: float) -> None:
    subject = breaker(random)
    for _ in range(asked):
        subject.next_pause_s()
    assert SHORTEST_S / 2 <= subject.next_pause_s() <= LONGEST_S
