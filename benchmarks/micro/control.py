"""Work that runs nothing of the product: a negative control, which no change can make slower."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.micro.work import expect

if TYPE_CHECKING:
    from benchmarks.micro.work import Work

_WORDS = [f"word {number}" for number in range(200)]


def make() -> Work:
    """Strings, dictionaries and integers, as most of Python's work is."""

    def work() -> None:
        lengths: dict[str, int] = {}
        total = 0
        for turn in range(5):
            for word in _WORDS:
                key = f"{word}:{turn}"
                lengths[key] = len(key)
                total += len(key) % 7
        expect(len(lengths) == 1000 and total > 0, "a dictionary lost its keys")

    return work
