"""The table of requests on real sockets: one answer each, however the bytes arrive."""

from __future__ import annotations

import asyncio
import gc
import random
from typing import TYPE_CHECKING

import pytest

from app.server.connection import Connection
from app.server.reading import Reader
from tests.http_cases import (
    CASES,
    GROUPS,
    LAST,
    LAST_ANSWER,
    MAX_BODY_BYTES,
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    Case,
    application,
    request,
)
from tests.http_site import FACTORIES, Site, parse_responses, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

SEEDS = (1, 2, 3)
MANY_BYTES = 2000
"""A longer case arrives in pieces rather than in single bytes."""


def bytewise(data: bytes) -> list[bytes]:
    step = 1 if len(data) <= MANY_BYTES else 97
    return [data[start : start + step] for start in range(0, len(data), step)]


def at_random(data: bytes, seed: int) -> list[bytes]:
    cuts = sorted(random.Random(seed).choices(range(len(data) + 1), k=min(12, len(data))))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]


def splits(case: Case) -> Iterator[tuple[str, list[bytes], tuple[str, ...]]]:
    """Every way in which the case is sent: its name, the pieces, the answers."""
    data = case.data + (LAST if case.is_whole else b"")
    answers = case.answers if case.closes else (*case.answers, LAST_ANSWER)
    yield "whole", [data], answers
    yield "byte by byte", bytewise(data), answers
    for seed in SEEDS:
        yield f"seed {seed}", at_random(data, seed), answers
    before = request(b"GET /before HTTP/1.1")
    answers = ("200 GET /before HTTP/1.1 b''", *answers)
    yield "after another request", [before + data], answers
    yield "after another request, apart", [before, *at_random(data, 4)], answers


def spoken(answer: bytes, case: Case, *, is_second: bool) -> tuple[str, ...]:
    methods = ("GET", *case.methods) if is_second else case.methods
    return tuple(
        f"{response.status} {response.body.decode()}"
        if response.status in {200, 403} and response.body
        else str(response.status)
        for response in parse_responses(answer, methods)
    )


async def check(site: Site, case: Case) -> list[str]:
    wrong = []
    for name, pieces, answers in splits(case):
        answer = await site.exchange(*pieces)
        got = spoken(answer, case, is_second=name.startswith("after"))
        if got != answers:
            wrong.append(f"{case.name}, {name}: {got} instead of {answers}")
    return wrong


@pytest.mark.parametrize("loop", FACTORIES)
@pytest.mark.parametrize("group", GROUPS)
def test_answer_of_every_case(loop: str, group: str) -> None:
    async def scenario() -> None:
        async with serving(
            application(),
            max_header_size=MAX_HEAD_BYTES,
            max_header_count=MAX_FIELDS,
            max_body_size=MAX_BODY_BYTES,
        ) as site:
            wrong = [line for case in GROUPS[group] for line in await check(site, case)]
        assert wrong == []

    with asyncio.Runner(loop_factory=FACTORIES[loop]) as runner:
        runner.run(scenario())
    gc.collect()
    left = [type(found) for found in gc.get_objects() if type(found) in {Connection, Reader}]
    assert left == []


def test_names_of_the_cases_are_their_own() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) > 300
