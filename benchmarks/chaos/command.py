"""`./run chaos`: break what can break, under load, and say what clients saw of it."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from types import FrameType


class _Names(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """The name of a fault; the faults are imported when one is asked for."""

    name = "fault"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from benchmarks.chaos.faults import FAULTS

        if value not in FAULTS:
            self.fail(f"{value!r} is none of {', '.join(FAULTS)}", param, ctx)
        return value


@click.command()
@click.option("--fault", "names", multiple=True, type=_Names(), metavar="NAME",
              help="Only this one; may be given more than once.")  # fmt: skip
@click.option("--long", "is_long", is_flag=True, help="The long form: about an hour and a half.")
@click.option("--retry-slow", "retries_slow", is_flag=True,
              help="Do a fault once more where all that it broke is a time, as a machine does that "
                   "has other work. A failed request is never tried again.")  # fmt: skip
@click.option("--list", "lists", is_flag=True, help="Name the faults and end.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False),
              help="Write the figures to this file.")  # fmt: skip
@click.option("--markdown", "markdown_file", type=click.Path(path_type=Path, dir_okay=False),
              help="Write the report to this file.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path, file_okay=False),
              help="Draw timelines of requests into this folder.")  # fmt: skip
def command(  # noqa: PLR0913 - one for each option
    names: tuple[str, ...],
    is_long: bool,  # noqa: FBT001 - click's own form
    retries_slow: bool,  # noqa: FBT001
    lists: bool,  # noqa: FBT001
    json_file: Path | None,
    markdown_file: Path | None,
    output: Path | None,
) -> None:
    """Break what can break, under load, and say what clients saw of it.

    Each fault has a whole stack of its own, on free ports of 127.0.0.1 in a temporary folder, and a
    client that sends requests at a fixed rate and records every one. The short form takes about
    six minutes.

    Exit code: 0 every promise was kept, 1 one was broken, 2 wrong usage, 3 something could not be
    measured here, as the machine lacks what the report names, 4 nothing could.
    """
    from rich.console import Console

    from benchmarks import machine, report
    from benchmarks.chaos import suite
    from benchmarks.chaos.faults import FAULTS

    if lists:
        for name, fault in FAULTS.items():
            click.echo(f"{name:14} {fault.title}")
        return
    signal.signal(signal.SIGTERM, _end)
    console = Console()
    form = "long" if is_long else "short"
    about = machine.describe(suite.PACKAGES)
    title = f"Faults under load, {form} form"
    report.show_heading(title, about, console)
    results = []
    for name in names or tuple(FAULTS):
        results.append(suite.run(name, is_long=is_long, output=output, retries_slow=retries_slow))
        report.show_section(results[-1].section, console)
        # After each: a run that is cut short leaves what it has found.
        found = report.Report(title, about, [result.section for result in results])
        if json_file is not None:
            json_file.write_bytes(found.json())
        if markdown_file is not None:
            markdown_file.write_text(found.markdown())
    sys.exit(suite.code(results))


def _end(number: int, _frame: FrameType | None) -> None:
    """Leave by the way on which everything is stopped."""
    raise SystemExit(128 + number)
