"""The command `./run ci`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from pipeline import jobs as table
from pipeline import report, running

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from pipeline.jobs import Job
    from pipeline.running import Result

_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.command(
    "ci",
    epilog="Exit codes: 0 green; 1 red; 2 wrong usage; 130 interrupted. "
    "What cannot be run on this machine is skipped and named; with --strict it is red.",
)
@click.option("--list", "only_list", is_flag=True, help="Show the jobs and run nothing.")
@click.option(
    "--job", "names", multiple=True, metavar="NAME",
    help="Run this one; may be given several times.  [default: all]",
)  # fmt: skip
@click.option(
    "--workflow", default="ci", show_default=True, type=click.Choice(table.workflows()),
    help="Whose jobs.",
)  # fmt: skip
@click.option("--strict", is_flag=True, help="What cannot be run here has failed.")
@click.option("--json", "json_file", type=_FILE, help="Write what came of each job to this file.")
@click.option(
    "--selftest", is_flag=True,
    help="Break one thing at a time in a scratch clone; the job concerned must go red each time.",
)  # fmt: skip
@click.option("--markdown", "markdown_file", type=_FILE, help="Write the self-test's table there.")
@click.argument("more", nargs=-1)
def command(  # noqa: PLR0913 - one for each option
    *,
    only_list: bool,
    names: tuple[str, ...],
    workflow: str,
    strict: bool,
    json_file: Path | None,
    selftest: bool,
    markdown_file: Path | None,
    more: tuple[str, ...],
) -> None:
    """Run the pipeline's jobs here, as .github/workflows/ci.yml runs them.

    With one --job, MORE words go to its command: ./run ci --job test -- tests/unit
    """
    signal.signal(signal.SIGTERM, _interrupt)  # so that nothing is left running, and no clone
    if selftest:
        from pipeline.selftest.command import run as break_things  # noqa: PLC0415 - it is large

        sys.exit(break_things(names, markdown_file))
    if more and len(names) != 1:
        raise click.UsageError("further words go to one job: name it by --job")
    if only_list and not names:
        _show(table.read(workflow))
        return
    chosen = table.chosen(table.read(workflow), names)
    if only_list:
        _show(chosen)
        return
    machine = running.Machine(table.ROOT, _environ(), strict=strict)
    results = running.run(chosen, machine, more, _say)
    click.echo(report.text(results))
    if json_file:
        json_file.write_bytes(report.json(results))
    _summarise(results, chosen)
    sys.exit(0 if running.is_green(results) else 1)


def _environ() -> dict[str, str]:
    """The environment of jobs: this one, without what belongs to this very run."""
    return {name: text for name, text in os.environ.items() if name != "GITHUB_STEP_SUMMARY"}


def _summarise(results: Sequence[Result], jobs: Sequence[Job]) -> None:
    """Add to the summary of a run, where there is one."""
    file = os.environ.get("GITHUB_STEP_SUMMARY")
    if file:
        with Path(file).open("a", encoding="utf-8") as summary:
            summary.write(report.markdown(results, jobs, table.ROOT))


def _show(jobs: Sequence[Job]) -> None:
    for job in jobs:
        needs = f"  (after {', '.join(job.needs)})" if job.needs else ""
        click.echo(f"{job.name:17}{' '.join(job.argv)}")
        click.echo(f"{'':17}{job.about}{needs}; at most {job.minutes:g} min")


def _say(text: str) -> None:
    # Between the outputs of jobs: what they print must stand in its place.
    sys.stdout.flush()
    click.echo(click.style(f"ci: {text}", bold=True), err=True)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
