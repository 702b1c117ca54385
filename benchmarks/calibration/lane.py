"""A process that runs gates one after the other, on the CPUs that it was given.

`python -m benchmarks.calibration.lane COMMIT`. Standard input has one case in each line, standard
output answers each with the line that is kept of it.
"""

from __future__ import annotations

import io
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import click
import msgspec
from rich.console import Console

from app.errors import AppError
from benchmarks.calibration.lines import Case
from benchmarks.calibration.runs import Runner
from benchmarks.gate.arms import GateError, prepared
from benchmarks.peers.session import UnmeasuredError
from benchmarks.progress import Progress

if TYPE_CHECKING:
    from types import FrameType

UNMEASURED = 3


def main() -> None:
    """Run what standard input asks for, until it ends."""
    signal.signal(signal.SIGTERM, _interrupt)
    commit, *only = sys.argv[1:]
    # Two lanes that each show how far they are would be no picture of either.
    progress = Progress(Console(file=io.StringIO()))
    try:
        with prepared(commit, commit, _say) as arms:
            runner = Runner(arms, progress, _say)
            for asked in sys.stdin.buffer:
                line = runner.run(msgspec.json.decode(asked, type=Case), set(only))
                sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
                sys.stdout.buffer.flush()
    except (AppError, GateError, LookupError, UnmeasuredError) as error:
        _say(str(error))
        sys.exit(UNMEASURED)
    except KeyboardInterrupt:
        sys.exit(1)


def _say(text: str) -> None:
    click.echo(f"bench: {text}", err=True)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
