"""A short form of `./run bench fuzz`, with the same inputs each time; and what it must find."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from app.server.connection import Connection
from app.server.reading import Reader
from benchmarks.fuzz import campaign, grammar, growth, reading, serving, stock
from tests.http_cases import CASES

if TYPE_CHECKING:
    from benchmarks.fuzz.campaign import Tally

OBJECTS_OF_PYTHON_ITSELF = 200
"""What caches of the interpreter and of the tests' own tools may add."""


def assert_clean(tally: Tally, inputs: int) -> None:
    assert tally.findings == {}
    assert tally.inputs == inputs
    assert tally.left == 0
    assert tally.grown_objects < OBJECTS_OF_PYTHON_ITSELF


def test_reader_gives_the_same_events_however_bytes_are_split() -> None:
    tally = campaign.read(8000, seed=20)
    assert_clean(tally, 8000)
    assert min(tally.kinds[kind] for kind in ("end", "refusal", "upgrade", "so far")) > 50


def test_connections_keep_their_rules() -> None:
    tally = campaign.serve(10_000, seed=21)
    assert_clean(tally, 10_000)
    assert set(tally.kinds) == set(serving.ENDINGS)


def test_stock_tornado_and_h11_frame_alike() -> None:
    tally = campaign.compare(2000, seed=22)
    assert_clean(tally, 2000)
    assert tally.kinds["tornado: as here"] > 500
    assert tally.kinds["h11: as here"] > 500


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_cases_of_the_table_in_memory(seed: int) -> None:
    chance = random.Random(seed)
    with serving.watched_log() as log:
        rig = serving.Rig(log)
        for case in CASES:
            cuts = grammar.cuts(chance, len(case.data))
            reading.check(case.data, cuts)
            for ending in serving.ENDINGS:
                serving.check(rig, case.data, cuts, ending)


@pytest.mark.parametrize("size", [300, 1000])
def test_limits_of_a_head_hold_however_bytes_are_split(size: int) -> None:
    """Whole or cut, what is far too long is refused, and what is far from it is not."""
    chance = random.Random(size)
    for _ in range(500):
        head_bytes = chance.choice((size // 4, size * 4))
        target = chance.randrange(2, head_bytes - 60)
        data = b"GET /%b HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (
            b"t" * target,
            b"x" * (head_bytes - 50 - target),
        )
        whole = reading.check(data, grammar.cuts(chance, len(data)), size)
        if head_bytes < size:
            assert [event[0] for event in whole] == ["head", "end"]
        else:
            status = 414 if target > size // 2 else 431
            assert whole == [("refusal", status, b"")]


def test_a_long_body_before_them_does_not_count_against_a_head_or_chunks() -> None:
    body = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n" + b"x" * 90_000
    for after in (
        b"GET / HT",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n",
    ):
        reader = Reader(65536, 100)
        assert "Refusal" not in [type(event).__name__ for event in reader.feed(body + after)]
        reader.close()


# ---- the fuzzer itself


def test_fuzzer_finds_a_reader_that_minds_how_bytes_are_split(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feed = Reader.feed

    def forgetful(self: Reader, data: bytes) -> list[object]:
        return [
            event for event in feed(self, data) if len(data) > 1 or not isinstance(event, bytes)
        ]

    monkeypatch.setattr(Reader, "feed", forgetful)
    assert campaign.read(500, seed=1).findings


def test_fuzzer_finds_an_answer_to_a_client_that_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "is_closed", lambda self: self.closed)
    assert campaign.serve(3000, seed=1).findings


def test_fuzzer_finds_a_delegate_that_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "_tell_later", lambda *_: None)
    assert campaign.serve(3000, seed=1).findings


def test_comparison_finds_another_framing() -> None:
    data = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    (framed,) = stock.by_engine(data)
    other = stock.Framed(framed.method, framed.target, framed.version, b"ab")
    assert "framed there" in stock.difference([data], [other], "h11")
    assert "refused there" in stock.difference([data], [], "h11")


# ---- growth

ATTEMPTS = 4
"""Noise makes a ratio larger or smaller; quadratic work makes it about 4 each time."""


@pytest.mark.parametrize("kind", growth.KINDS, ids=lambda kind: kind.name)
def test_time_grows_no_faster_than_size(kind: growth.Kind) -> None:
    least = 9.0
    for _ in range(ATTEMPTS):
        least = min(least, growth.ratio(kind, rounds=3))
        if least <= kind.allowed:
            return
    pytest.fail(f"twice the {kind.name}: {least:.2f} times the time")


def test_growth_sees_quadratic_work() -> None:
    def prepare(size: int) -> object:
        return lambda: [None for _ in range(size) for _ in range(size)]

    kind = growth.Kind("squares", 300, prepare)  # type: ignore[arg-type]
    assert growth.ratio(kind, rounds=20) > 3
