"""Many inputs, one after another, and what they found."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil

from app.server.connection import Connection
from app.server.exchange import Exchange
from app.server.reading import Reader
from benchmarks.fuzz import grammar, reading, serving, stock

if TYPE_CHECKING:
    from collections.abc import Callable

_WARM = 1000
"""Inputs after which caches are full and memory must stay level."""


@dataclass
class Tally:
    """What a campaign found.

    Attributes:
        inputs: how many were tried.
        seconds: how long it took.
        findings: for each message, its shortest input.
        kinds: how often each outcome was seen.
        grown_objects: Python objects at the end more than when it was warm.
        grown_bytes: resident memory, likewise.
        left: connections, exchanges and readers at the end.
    """

    inputs: int = 0
    seconds: float = 0.0
    findings: dict[str, bytes] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    grown_objects: int = 0
    grown_bytes: int = 0
    left: int = 0

    def found(self, what: str, data: bytes) -> None:
        """Keep a finding, and the shortest input that shows it."""
        known = self.findings.get(what)
        if known is None or len(data) < len(known):
            self.findings[what] = data


def read(count: int, seed: int) -> Tally:
    """The reader alone: whole and cut, the outcome must be the same."""

    def once(chance: random.Random, data: bytes, tally: Tally) -> None:
        events = reading.check(data, grammar.cuts(chance, len(data)))
        tally.kinds[str(events[-1][0]) if events else "nothing"] += 1

    return _run(count, seed, once)


def serve(count: int, seed: int) -> Tally:
    """Whole connections in memory, with handlers of all kinds."""
    with serving.watched_log() as log:
        return _run(count, seed, _serving(log))


def _serving(log: serving.Log) -> Callable[[random.Random, bytes, Tally], None]:
    rigs = [serving.Rig(log)]

    def once(chance: random.Random, data: bytes, tally: Tally) -> None:
        ending = chance.choice(serving.ENDINGS)
        try:
            serving.check(rigs[0], data, grammar.cuts(chance, len(data)), ending)
        except Exception:
            rigs[0] = serving.Rig(log)
            raise
        tally.kinds[ending] += 1

    return once


def compare(count: int, seed: int) -> Tally:
    """Framing by the engine, by stock Tornado and by h11."""
    with asyncio.Runner() as runner, serving.watched_log():
        loop = runner.get_loop()

        def once(_: random.Random, data: bytes, tally: Tally) -> None:
            requests = stock.requests_in(data)
            whole = b"".join(requests)
            if stock.by_engine(data) != stock.by_engine(whole):
                tally.found("empty lines change the framing", data)
            others = {"tornado": stock.by_tornado(whole, loop), "h11": stock.by_h11(whole)}
            for who, theirs in others.items():
                told = stock.difference(requests, theirs, who) or "as here"
                if told == "as here" or told.startswith("explained"):
                    tally.kinds[f"{who}: {told}"] += 1
                else:
                    tally.found(f"{who}: {told[:14]}", data)

        return _run(count, seed, once)


def _run(count: int, seed: int, once: Callable[[random.Random, bytes, Tally], None]) -> Tally:
    chance, tally, process = random.Random(seed), Tally(inputs=count), psutil.Process()
    begun = time.monotonic()
    objects, resident = 0, 0
    for number in range(count):
        if number == min(_WARM, count - 1):
            objects, resident = _objects(), process.memory_info().rss
        data = grammar.stream(chance)
        try:
            once(chance, data, tally)
        except Exception as error:  # noqa: BLE001 - every exception is a finding
            tally.found(f"{type(error).__name__}: {str(error)[:50]}", data)
    tally.seconds = time.monotonic() - begun
    tally.grown_objects = _objects() - objects
    tally.grown_bytes = process.memory_info().rss - resident
    kept = (Connection, Exchange, Reader)
    tally.left = sum(type(found) in kept for found in gc.get_objects())
    return tally


def _objects() -> int:
    gc.collect()
    return len(gc.get_objects())
