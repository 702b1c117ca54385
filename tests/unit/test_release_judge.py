"""The verdict on the traffic after a switch: what is worse convicts, chance does not."""

from __future__ import annotations

import random

import pytest

from app.release import judge
from app.release.inventory import Bake
from app.release.messages import TrafficSeen, Window

BAKE = Bake()


def window(requests: int, errors: int = 0, seconds: float = 0.01, slow: int = 0) -> Window:
    durations = {judge.bucket(seconds): requests - slow}
    if slow:
        durations[judge.bucket(3.0)] = slow
    return Window(requests, errors, durations)


def verdict(before: Window, *after: Window) -> str:
    return judge.fault(TrafficSeen(before, list(after), 30.0), BAKE)


def test_five_percent_errors_convict() -> None:
    said = verdict(window(3000), window(300, 15), window(300, 15))
    assert said == "30 of 600 requests were answered 5xx (5.00 %; before: 0.00 %)"


def test_five_percent_errors_convict_without_traffic_before() -> None:
    assert "of 200 requests" in verdict(Window(), window(100, 5), window(100, 5))


def test_little_traffic_without_errors_before_excuses_nothing() -> None:
    assert "5.00 %" in verdict(window(100), window(2400, errors=120))


def test_errors_that_there_were_before_do_not_convict() -> None:
    assert verdict(window(3000, 150), window(300, 15), window(300, 18)) == ""


@pytest.mark.parametrize("errors", [1, 2])
def test_a_handful_of_errors_convicts_nobody(errors: int) -> None:
    assert verdict(window(300), window(10), window(10, errors)) == ""


def test_chance_rarely_convicts_a_release_that_is_as_good_as_the_last() -> None:
    generator = random.Random(7)
    convicted = 0
    for _ in range(2000):
        counts = [sum(generator.random() < 0.01 for _ in range(n)) for n in (1000, 200, 200)]
        convicted += bool(
            verdict(window(1000, counts[0]), window(200, counts[1]), window(200, counts[2]))
        )
    assert convicted <= 2


def test_slowness_that_lasts_convicts_and_a_burst_does_not() -> None:
    before = window(3000)
    assert "the p99 is" in verdict(before, window(300, slow=30), window(300, slow=30))
    assert verdict(before, window(300, slow=60), window(300)) == ""
    assert verdict(before, window(300, slow=3), window(300, slow=4)) == ""


def test_what_is_faster_than_the_floor_is_not_slow() -> None:
    assert verdict(window(3000, seconds=0.001), window(600, seconds=0.4)) == ""


def test_percentile_is_within_a_tenth() -> None:
    durations: dict[int, int] = {}
    for number in range(1, 1001):
        at = judge.bucket(number / 1000)
        durations[at] = durations.get(at, 0) + 1
    assert 0.99 <= judge.p99_s(Window(1000, 0, durations)) <= 0.99 * 1.1
    assert judge.p99_s(Window()) == 0.0


def test_tail_of_the_binomial_distribution() -> None:
    assert judge.tail(0, 10, 0.5) == 1.0
    assert judge.tail(10, 10, 0.5) == pytest.approx(0.5**10)
    assert judge.tail(1, 3, 0.5) == pytest.approx(7 / 8)
    assert judge.tail(1, 3, 0.0) == 0.0
    assert judge.tail(1, 3, 1.0) == 1.0


def test_hosts_count_together() -> None:
    one = TrafficSeen(window(100), [window(10, 1), window(10, 1)], 20.0)
    both = judge.together([one, one])
    assert both.before.requests == 200
    assert [w.errors for w in both.after] == [2, 2]
    assert judge.together([]).after == []
