"""The command `./run bench calibrate`."""

from __future__ import annotations

import signal
import time
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from benchmarks import outcome
from benchmarks.progress import minutes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from benchmarks.calibration.lines import Case, Line
    from benchmarks.report import Section

_TITLE = "How often the gate is wrong"
COMMITTED = Path(__file__).with_name("measured.jsonl")
_OURS = Path(".state/benchmarks/calibration.jsonl")
_PARTS = ("aa", "injected", "busy")
_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.command(
    epilog="Exit codes: 0 measured; 2 wrong usage; 3 something could not be measured; 130 "
    "interrupted. A rate that is worse than wanted is said and does not change the exit code."
)
@click.option(
    "--part", "parts", multiple=True, type=click.Choice(_PARTS),
    help="Run this part only; may be given several times.  [default: all]",
)  # fmt: skip
@click.option("--runs", default=60, show_default=True, help="Gates of a commit beside itself.")
@click.option(
    "--injected-runs", default=29, show_default=True, help="Gates for each injected slowdown."
)
@click.option("--busy-runs", default=20, show_default=True, help="Gates with one CPU kept busy.")
@click.option("--injection", "injections", multiple=True, help="Inject only this one, by its name.")
@click.option(
    "--only", multiple=True, metavar="BENCHMARK", help="Measure this one where none is injected."
)
@click.option(
    "--lanes", default=1, show_default=True, type=click.IntRange(1),
    help="Gates side by side; with several, each has one CPU.",
)  # fmt: skip
@click.option(
    "--lines", type=_FILE,
    help="One line for each gate; what stands there already is not run again.  [default: "
    ".state/benchmarks/calibration.jsonl, or with --summary what is committed]",
)  # fmt: skip
@click.option("--summary", "only_summary", is_flag=True, help="Run nothing, sum the lines up.")
@click.option("--json", "json_file", type=_FILE, help="Write the rates to this file.")
@click.option("--markdown", "markdown_file", type=_FILE, help="Write the report to this file.")
def command(  # noqa: PLR0913 - one for each option
    *,
    parts: tuple[str, ...],
    runs: int,
    injected_runs: int,
    busy_runs: int,
    injections: tuple[str, ...],
    only: tuple[str, ...],
    lanes: int,
    lines: Path | None,
    only_summary: bool,
    json_file: Path | None,
    markdown_file: Path | None,
) -> None:
    """Measure the gate's own rates of false alarms and of slowdowns found.

    \b
      aa        whole gates of a commit beside itself: none may be called slower
      injected  slowdowns of 5, 10 and 20 %: a loop, a round trip to Redis, a sleep
      busy      as aa, while another load keeps one CPU busy

    Arms are shortened: a gate takes about a minute, all of it some hours. It can be interrupted at
    any time: each gate is kept as soon as it ends.
    """  # noqa: D301 - \\b is how click is told to leave the lines as they are
    from app.errors import AppError
    from benchmarks.calibration.injections import INJECTIONS
    from benchmarks.calibration.lines import LinesError, read
    from benchmarks.gate.arms import GateError
    from benchmarks.machine import describe
    from benchmarks.peers.session import UnmeasuredError
    from benchmarks.report import Report, show_heading, show_section

    outcome.check_folders(json_file, markdown_file)
    signal.signal(signal.SIGTERM, _interrupt)
    unknown = [name for name in injections if name not in INJECTIONS]
    if unknown:
        raise click.UsageError(f"no injection {unknown[0]!r}; there are {', '.join(INJECTIONS)}")
    wanted = _wanted(
        {"aa": runs, "injected": injected_runs, "busy": busy_runs},
        parts or _PARTS,
        injections or tuple(INJECTIONS),
    )
    with outcome.told(GateError, LinesError, UnmeasuredError, AppError):
        if only_summary:
            kept = read(lines or COMMITTED, must_be=True)
        else:
            kept = _run(wanted, lines or _OURS, _cpus(lanes), only)
        report = Report(_TITLE, describe(("scipy", "pytest-benchmark", "tornado")), _summed(kept))
    out = outcome.console()
    show_heading(_TITLE, report.machine, out)
    for section in report.sections:
        show_section(section, out)
    outcome.end(report, json_file, markdown_file)


def _cpus(lanes: int) -> list[int | None]:
    from benchmarks.calibration.lanes import cpus_of

    try:
        return cpus_of(lanes)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _wanted(counts: dict[str, int], parts: Sequence[str], injections: Sequence[str]) -> list[Case]:
    """Every case, the parts in turns, so that an early end leaves something of each."""
    from benchmarks.calibration.lines import Case

    by_part: list[list[Case]] = []
    if "aa" in parts:
        by_part.append([Case("aa", "", number) for number in range(counts["aa"])])
    if "busy" in parts:
        by_part.append([Case("busy", "", number) for number in range(counts["busy"])])
    if "injected" in parts:
        by_part += [
            [Case("injected", name, number) for number in range(counts["injected"])]
            for name in injections
        ]
    return [case for turn in zip_longest(*by_part) for case in turn if case is not None]


def _run(
    wanted: Sequence[Case], file: Path, cpus: Sequence[int | None], only: tuple[str, ...]
) -> list[Line]:
    """Run what the file lacks, and say after each gate what it found and how long the rest takes.

    The commit is that of now: what is committed meanwhile is not measured.
    """
    from benchmarks.calibration import lanes, lines
    from benchmarks.gate.arms import resolve

    file.parent.mkdir(parents=True, exist_ok=True)
    kept = lines.read(file)
    before = {line.case for line in kept}
    left = [case for case in wanted if case not in before]
    begun = time.monotonic()

    def keep(line: Line) -> None:
        lines.append(file, line)
        kept.append(line)
        done = len(kept) - len(before)
        left_s = (time.monotonic() - begun) / done * (len(left) - done)
        slower = f"; slower: {', '.join(line.red)}" if line.red else ""
        _say(
            f"{done} of {len(left)}, {minutes(left_s)} left: {line.case}, {line.outcome} after "
            f"{line.rounds} rounds and {line.seconds:.0f} s{slower}"
        )

    _say(f"{len(left)} gates to run, {len(before)} are there; lanes: {len(cpus)}")
    lanes.run(left, (resolve("HEAD"), *only), cpus, keep)
    return kept


def _summed(lines: list[Line]) -> list[Section]:
    from benchmarks.calibration.summary import sections

    return sections(lines)


def _say(text: str) -> None:
    click.echo(f"bench: {text}", err=True)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """End in good order, with every process, where the command is told to end."""
    raise KeyboardInterrupt
