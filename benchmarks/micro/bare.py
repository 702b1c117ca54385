"""The pieces of work timed without pytest: `-m benchmarks.micro.bare RESULT SECONDS NAME...`.

For the calibration of the gate, where starting pytest would take as long as measuring. Rounds,
repetitions, clock and collector are as under pytest-benchmark, and so is the form of the result, as
far as it is read.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path

from benchmarks.micro.work import PIECES, WARM_UP_ROUNDS, make, rounds_of


def main() -> None:
    """Measure, and say what failed as pytest does."""
    result, seconds, names = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    found = []
    for name in names:
        try:
            times = _timed(name, seconds)
        except Exception as error:  # noqa: BLE001 - whatever the product raises is told
            said = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"FAILED bare[{name}] - {said}")
        else:
            stats = {"min": min(times), "mean": sum(times) / len(times)}
            found.append({"params": {"name": name}, "stats": stats})
    result.write_text(json.dumps({"benchmarks": found}), encoding="utf-8")


def _timed(name: str, seconds: float) -> list[float]:
    """CPU time of one repetition in each round."""
    gc.collect()
    gc.freeze()
    work, repetitions = make(name), range(PIECES[name].repetitions)
    work()  # what is wrong fails here, and is not measured
    times = []
    for _ in range(WARM_UP_ROUNDS + rounds_of(seconds)):
        begun = time.process_time()
        for _ in repetitions:
            work()
        times.append((time.process_time() - begun) / len(repetitions))
    gc.unfreeze()
    return times[WARM_UP_ROUNDS:]


if __name__ == "__main__":
    main()
