"""The command `./run bench dispatch`.

Each part is a module of the same interface, `measure(session) -> Section`, imported when it runs.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from benchmarks import outcome

if TYPE_CHECKING:
    from benchmarks.dispatch.session import Session
    from benchmarks.report import Report, Section

_TITLE = "The dispatch solver beside HiGHS"
_PACKAGES = ("highspy", "numpy", "scipy")
_PARTS = {
    "equality": "benchmarks.dispatch.equality",
    "time": "benchmarks.dispatch.times",
    "worst": "benchmarks.dispatch.worst",
    "plot": "benchmarks.dispatch.plot",
    "memory": "benchmarks.dispatch.memory",
    "health": "benchmarks.dispatch.health",
}
_OUTPUT = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.command(
    epilog="Exit codes: 0 measured; 1 a plan of ours costs more than one of HiGHS, or is wrong, or "
    "we miss that there is one; 2 wrong usage; 3 a part could not be measured; 130 interrupted. "
    "A wanted figure that is not reached is said and does not change the exit code."
)
@click.option(
    "--part", "parts", multiple=True, type=click.Choice(list(_PARTS)),
    help="Measure this part only; may be given several times.  [default: all]",
)  # fmt: skip
@click.option("--quick", is_flag=True, help="A short form of less than a minute, for CI.")
@click.option(
    "--seed", default=1, show_default=True, type=click.IntRange(0),
    help="Decides the problems and the order of turns.",
)  # fmt: skip
@click.option("--json", "json_file", type=_OUTPUT, help="Write every figure to this file.")
@click.option("--markdown", "markdown_file", type=_OUTPUT, help="Write the report to this file.")
@click.option(
    "--output", default=Path(".state/benchmarks"), show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the plot: dispatch.svg and dispatch.png.",
)  # fmt: skip
def command(
    *,
    parts: tuple[str, ...],
    quick: bool,
    seed: int,
    json_file: Path | None,
    markdown_file: Path | None,
    output: Path,
) -> None:
    """Compare the dispatch solver with HiGHS, a mixed-integer solver, in one process.

    \b
      equality  thousands of problems, equal cost to the last digit
      time      how many times as fast, by number of plants
      worst     the slowest of each hostile family
      plot      time against plants, as a picture
      memory    growth of a fresh process with the largest problems
      health    GET /health of a worker that computes large plans

    All of it takes about twenty-five minutes on two CPUs. Progress goes to standard error.
    """  # noqa: D301 - \\b is how click is told to leave the lines as they are
    from benchmarks.dispatch import session as sessions
    from benchmarks.progress import Progress

    outcome.check_folders(json_file, markdown_file)
    effort = sessions.QUICK if quick else sessions.FULL
    session = sessions.Session(effort, seed, Progress(Console(stderr=True)), output)
    with outcome.told(sessions.UnmeasuredError):
        report = _measure([name for name in _PARTS if name in parts or not parts], session)
    outcome.end(report, json_file, markdown_file)


def _measure(parts: list[str], session: Session) -> Report:
    """Measure and print one part after the other: what is known is not lost to a later failure."""
    from benchmarks.machine import describe
    from benchmarks.pairs import settle
    from benchmarks.report import Report, show_heading, show_section

    out = outcome.console()
    machine = describe(_PACKAGES)
    show_heading(_TITLE, machine, out)
    sections: list[Section] = []
    for name in parts:
        part = import_module(_PARTS[name])
        settle()
        sections.append(part.measure(session))
        show_section(sections[-1], out)
    return Report(_TITLE, machine, sections)
