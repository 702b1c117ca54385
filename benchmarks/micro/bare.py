"""The pieces of work timed without pytest: `-m benchmarks.micro.bare RESULT SECONDS NAME...`.

For the calibration of the gate, where starting pytest would take as long as measuring. Sweeps,
rounds, repetitions, clock and collector are as under pytest-benchmark, and so is the form of the
result, as far as it is read.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.micro import turns
from benchmarks.micro.work import PIECES, SWEEPS, WARM_UP_ROUNDS, make, rounds_of

if TYPE_CHECKING:
    from benchmarks.micro.work import Work


def main() -> None:
    """Measure, and say what failed as pytest does."""
    result, seconds, names = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    works: dict[str, Work] = {}
    for name in names:
        try:
            works[name] = make(name)
            works[name]()  # what is wrong fails here, and is not measured
        except Exception as error:  # noqa: BLE001 - whatever the product raises is told
            works.pop(name, None)
            said = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"FAILED bare[{name}] - {said}")
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(SWEEPS):
        turns.wait()
        for name, work in works.items():
            times[name] += _timed(work, PIECES[name].repetitions, rounds_of(seconds))
    found = [
        {"params": {"name": name}, "stats": {"min": min(of), "mean": sum(of) / len(of)}}
        for name, of in times.items()
    ]
    result.write_text(json.dumps({"benchmarks": found}), encoding="utf-8")


def _timed(work: Work, repetitions: int, rounds: int) -> list[float]:
    """CPU time of one repetition in each round."""
    gc.collect()
    gc.freeze()
    times = []
    for _ in range(WARM_UP_ROUNDS + rounds):
        begun = time.process_time()
        for _ in range(repetitions):
            work()
        times.append((time.process_time() - begun) / repetitions)
    return times[WARM_UP_ROUNDS:]


if __name__ == "__main__":
    main()
