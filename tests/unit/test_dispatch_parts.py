"""The solver's parts on their own: sums, shares, lanes, trails, and where the work ends."""

from __future__ import annotations

import itertools
import math
import random
import time
import tracemalloc
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dispatch import Fuels, Kind, Plant, plan, verify
from app.dispatch.feasibility import is_possible, nearest
from app.dispatch.lanes import Lanes
from app.dispatch.share import share
from app.dispatch.sums import Sums, Unit
from app.dispatch.trail import Trail
from app.errors import InfeasibleLoadError

FUELS = Fuels(gas=Decimal("13.4"), kerosine=Decimal("50.8"), co2=20, wind=100)

limits = st.tuples(st.integers(0, 12), st.integers(1, 12)).map(lambda pair: (min(pair), max(pair)))
fleets = st.lists(limits, max_size=6).map(
    lambda pairs: [Unit(low, high, index) for index, (low, high) in enumerate(pairs)]
)


def divisions(units: list[Unit]) -> list[tuple[int, ...]]:
    choices = [sorted({0, *range(unit.low, unit.high + 1)}) for unit in units]
    return list(itertools.islice(itertools.product(*choices), 60_000))


@given(fleets.filter(lambda units: math.prod(u.high - u.low + 2 for u in units) < 20_000))
def test_sums_shares_and_the_nearest_totals_against_every_division(units: list[Unit]) -> None:
    greatest: dict[int, tuple[int, ...]] = {}
    for outputs in divisions(units):
        greatest[sum(outputs)] = outputs  # in lexicographic order: the last is the greatest
    most = max(greatest)
    sums = Sums.of(units, most)
    assert list(sums.between(0, most)) == sorted(greatest)
    for load in range(most + 3):
        below = max((total for total in greatest if total <= load), default=None)
        above = min((total for total in greatest if total >= load), default=None)
        assert (load in sums) is (load in greatest)
        assert is_possible(units, load) is (load in greatest)
        assert sums.around(load) == (below, above)
        if load in greatest:
            assert share(units, load) == list(greatest[load])
        elif load > 0:
            assert nearest(units, load) == (below, above)


def test_sums_are_the_same_as_runs_and_as_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(1)
    for _ in range(50):
        units = [Unit(high - rng.randrange(3), high, i) for i, high in enumerate([9, 14, 14, 23])]
        cap = rng.randrange(30, 70)
        runs = Sums.of(units, cap)
        monkeypatch.setattr("app.dispatch.sums._MOST_RUNS", 1)
        bits = Sums.of(units, cap)
        monkeypatch.undo()
        assert list(runs.between(5, cap - 3)) == list(bits.between(5, cap - 3))
        for load in range(cap + 1):
            assert (load in runs, runs.around(load)) == (load in bits, bits.around(load))


def test_a_share_that_is_hard_to_find_is_not_found_within_bounds() -> None:
    units = [Unit(2, 2, index) for index in range(200)]
    assert share(units, 201, within=4) is None
    assert share(units, 200, within=4) == [2] * 100 + [0] * 100


@pytest.mark.parametrize("room", [1, 30, 60, 200, 10_000])
def test_a_trail_gives_every_state_in_any_order_from_any_room(room: int) -> None:
    trail = Trail("", 40, lambda index, state: f"{index} {state}", 10, room)
    expected = ["".join(f"{i} " for i in range(start, 40)) for start in range(41)]
    assert [trail[i] for i in range(41)] == expected
    assert [trail[i] for i in range(40, -1, -1)] == expected[::-1]
    assert trail[7] == expected[7]


def test_a_trail_recomputes_each_state_a_few_times_only() -> None:
    steps = 0

    def step(index: int, state: int) -> int:
        nonlocal steps
        steps += 1
        return state + index

    trail = Trail(0, 1_000, step, 10, 640)
    for index in range(1_001):
        assert trail[index] == sum(range(index, 1_000))
    assert steps < 6_000


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30), st.data())
def test_lanes_against_lists(losses: list[int], data: st.DataObject) -> None:
    low = data.draw(st.integers(0, 5))
    high = data.draw(st.integers(low, 8))
    rate = data.draw(st.integers(0, 6))
    count = len(losses)
    lanes = Lanes(50)
    packed = sum(loss << (index * lanes.bits) for index, loss in enumerate(losses))

    def least(options: list[int]) -> int:
        return min(min(options, default=51), 51)

    more = lanes.reader(lanes.with_output(packed, count, (low, high), rate), count)
    less = lanes.reader(lanes.with_less(packed, count, (high - low, high), rate), count)
    for place in range(count):
        moves = [0, *range(low, high + 1)]
        gained = [losses[place - n] + n * rate for n in moves if n <= place]
        assert min(more(place), 51) == least(gained)
        moves = [*range(high - low + 1), high]
        lost = [losses[place + n] + n * rate for n in moves if place + n < count]
        assert min(less(place), 51) == least(lost)


@given(
    st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=20),
    st.integers(1, 99),
)
def test_lanes_never_overflow(moves: list[tuple[int, bool]], budget: int) -> None:
    count = 6
    lanes = Lanes(budget)
    expected = [0] + [budget + 1] * (count - 1)
    packed = sum(loss << (index * lanes.bits) for index, loss in enumerate(expected))
    for steps, up in moves:
        rate = budget // steps  # as dear as is allowed
        move = lanes.with_output if up else lanes.with_less
        packed = move(packed, count, (steps if up else 0, steps), rate)
        shift = -steps if up else steps
        expected = [
            min(loss, expected[place + shift] + steps * rate)
            if 0 <= place + shift < count
            else loss
            for place, loss in enumerate(expected)
        ]
        read = lanes.reader(packed, count)
        assert [min(read(place), budget + 1) for place in range(count)] == [
            min(loss, budget + 1) for loss in expected
        ]


def even_sizes(rng: random.Random, count: int, largest: int) -> list[Plant]:
    plants = []
    for index in range(count):
        size = Decimal(2 * rng.randrange(largest // 20, largest // 2)).scaleb(-1)
        efficiency = Decimal(rng.randrange(3000, 6200)).scaleb(-4)
        plants.append(Plant(f"g{index}", Kind.GASFIRED, efficiency, size, size))
    return plants


def test_odd_loads_of_a_thousand_even_plants_end_soon() -> None:
    plants = even_sizes(random.Random(3), 1_000, 4_000)
    began = time.perf_counter()
    with pytest.raises(InfeasibleLoadError) as caught:
        plan(Decimal("90000.1"), FUELS, plants)
    assert (caught.value.below, caught.value.above) == (900_000, 900_002)
    odd = Plant("odd", Kind.TURBOJET, Decimal("0.1"), Decimal("333.3"), Decimal("333.3"))
    found = plan(Decimal("90000.1"), FUELS, [*plants, odd])
    assert verify(Decimal("90000.1"), FUELS, [*plants, odd], found) == []
    assert found.outputs[-1].steps == 3333
    assert time.perf_counter() - began < 5


def test_memory_stays_bounded_when_every_bit_counts() -> None:
    plants = even_sizes(random.Random(4), 60, 150_000)
    plants += [Plant("odd", Kind.TURBOJET, Decimal("0.2"), Decimal("5000.1"), Decimal("5000.1"))]
    tracemalloc.start()
    found = plan(Decimal("200000.1"), FUELS, plants)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert verify(Decimal("200000.1"), FUELS, plants, found) == []
    assert peak < 150 << 20


def test_five_thousand_plants_are_planned_soon() -> None:
    rng = random.Random(5)
    plants = []
    for index in range(5_000):
        kind = rng.choices(list(Kind), [5, 2, 3])[0]
        efficiency = Decimal(rng.randrange(2 * 10**17, 6 * 10**17)).scaleb(-18)
        pmin = 0 if kind is Kind.TURBOJET else rng.randrange(1, 60)
        plants.append(Plant(f"p{index}", kind, efficiency, pmin, pmin + rng.randrange(60)))
    began = time.perf_counter()
    found = plan(123_456, FUELS, plants)
    assert time.perf_counter() - began < 5
    assert verify(123_456, FUELS, plants, found) == []
