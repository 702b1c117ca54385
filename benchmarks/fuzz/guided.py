"""Fuzzing guided by coverage, where `atheris` is installed: it keeps what reaches new code.

Run as a process of its own: the fuzzer ends the process it runs in. Its coverage is that of the
Python code; llhttp and httptools are compiled and seen from outside only.
"""

from __future__ import annotations

import importlib
import random
import sys


def main() -> None:
    """Fuzz until the given number of inputs; `sys.argv` goes on to libFuzzer."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["app.server"]):
        serving = importlib.import_module("benchmarks.fuzz.serving")
    reading = importlib.import_module("benchmarks.fuzz.reading")
    grammar = importlib.import_module("benchmarks.fuzz.grammar")

    def once(data: bytes) -> None:
        # The first byte says how the rest is cut, so that libFuzzer can try both.
        chance = random.Random(data[:1])
        body = data[1:]
        cuts = grammar.cuts(chance, len(body))
        reading.check(body, cuts)
        serving.check(serving.Rig(log), body, cuts, chance.choice(serving.ENDINGS))

    with serving.watched_log() as log:
        atheris.Setup(sys.argv, once)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
