"""Runs each piece a few times between two marks, for who counts instructions from outside.

`python -m benchmarks.micro.instructions REPETITIONS NAME...`. A mark is a call of `getppid(2)`'s
wrapper in the C library, which nothing else here calls; callgrind writes its counts at each.
"""

from __future__ import annotations

import gc
import os
import sys

from benchmarks.micro.work import make


def main() -> None:
    """Do the work."""
    repetitions, names = int(sys.argv[1]), sys.argv[2:]
    works = [make(name) for name in names]
    for work in works:
        work()
        work()
    gc.collect()
    gc.disable()
    for work in works:
        os.getppid()
        for _ in range(repetitions):
            work()
    os.getppid()


if __name__ == "__main__":
    main()
