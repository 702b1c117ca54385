"""The command `./run bench calibrate`."""

from __future__ import annotations

import signal
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from rich.console import Console

from benchmarks import outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from benchmarks.calibration.runs import Case, Line
    from benchmarks.report import Section

_TITLE = "How often the gate is wrong"
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
    "--lines", default=Path(".state/benchmarks/calibration.jsonl"), show_default=True, type=_FILE,
    help="One line for each gate; what stands there already is not run again.",
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
    lines: Path,
    only_summary: bool,
    json_file: Path | None,
    markdown_file: Path | None,
) -> None:
    """Measure the gate's own rates of false alarms and of slowdowns found.

    \b
      aa        whole gates of a commit beside itself: none may be called slower
      injected  slowdowns of 5, 10 and 20 %: a loop, a round trip to Redis, a sleep
      busy      as aa, while another load keeps one CPU busy

    Arms are shortened; a gate takes three to six minutes, so all of it takes many hours. It can be
    interrupted at any time: each gate is kept as soon as it ends.
    """  # noqa: D301 - \\b is how click is told to leave the lines as they are
    from app.errors import AppError
    from benchmarks.calibration.injections import INJECTIONS
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
    with outcome.told(GateError, UnmeasuredError, AppError):
        kept = _read(lines) if only_summary else _run(wanted, lines, set(only))
        report = Report(_TITLE, describe(("scipy", "pytest-benchmark", "tornado")), _summed(kept))
    out = outcome.console()
    show_heading(_TITLE, report.machine, out)
    for section in report.sections:
        show_section(section, out)
    outcome.end(report, json_file, markdown_file)


def _wanted(counts: dict[str, int], parts: Sequence[str], injections: Sequence[str]) -> list[Case]:
    """Every case, the parts in turns, so that an early end leaves something of each."""
    from benchmarks.calibration.runs import Case

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


def _run(wanted: Sequence[Case], file: Path, only: set[str]) -> list[Line]:
    import msgspec

    from benchmarks.calibration.runs import run
    from benchmarks.progress import Progress

    file.parent.mkdir(parents=True, exist_ok=True)
    kept = _read(file)
    left = [case for case in wanted if case not in {line.case for line in kept}]
    progress = Progress(Console(stderr=True))
    for number, case in enumerate(left, 1):
        what = f"{case.part} {case.injection}".strip()
        _say(f"gate {number} of {len(left)}: {what}, run {case.number + 1}")
        line = run(case, only, progress, _say)
        with file.open("ab") as out:
            out.write(msgspec.json.encode(line) + b"\n")
        kept.append(line)
        _say(f"{line.outcome} after {line.rounds} rounds; slower: {', '.join(line.red) or 'none'}")
    return kept


def _read(file: Path) -> list[Line]:
    import msgspec

    from benchmarks.calibration.runs import Line

    if not file.exists():
        return []
    try:
        return [msgspec.json.decode(line, type=Line) for line in file.read_bytes().splitlines()]
    except msgspec.MsgspecError as error:
        raise click.UsageError(f"{file} has a line that is no gate: {error}") from error


def _summed(lines: list[Line]) -> list[Section]:
    from benchmarks.calibration.summary import sections

    return sections(lines)


def _say(text: str) -> None:
    click.echo(f"bench: {text}", err=True)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """End in good order, with every process, where the command is told to end."""
    raise KeyboardInterrupt
