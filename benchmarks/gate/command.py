"""The command `./run bench gate`."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from rich.console import Console

from benchmarks import outcome

if TYPE_CHECKING:
    from types import FrameType

    from benchmarks.gate.accepted import Accepted
    from benchmarks.gate.arms import Arms
    from benchmarks.gate.declaration import Declaration
    from benchmarks.gate.instructions import Counts
    from benchmarks.gate.report import Report
    from benchmarks.gate.session import Plan

_PACKAGES = ("tornado", "uvloop", "httptools", "redis", "hiredis", "msgspec", "pytest-benchmark")
_OUTPUT = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.command(
    epilog="Exit codes: 0 PASS; 1 FAIL: slower; 2 wrong usage; 3 ERROR: a benchmark is missing or "
    "failed, or the gate cannot be run; 4 INCONCLUSIVE: neutral; 5 INVALID: a control moved, run "
    "it again; 130 interrupted."
)
@click.option("--base", help="The commit to compare with, by any name of it.")
@click.option("--head", default="HEAD", show_default=True, help="The commit that is judged.")
@click.option(
    "--quick", is_flag=True, help="Three minutes: the micro benchmarks, and / of one worker."
)
@click.option(
    "--only", multiple=True, metavar="BENCHMARK",
    help="Measure this one and the controls; may be given several times.  [default: all]",
)  # fmt: skip
@click.option(
    "--output", default=Path(".state/benchmarks/gate"), show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of report.html, report.md, report.json.",
)  # fmt: skip
@click.option(
    "--history", "history_file", type=_OUTPUT,
    help="File of JSON lines: read for the report, and added to.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0), help="Decides the order of arms.  [default: drawn anew]"
)
@click.option(
    "--replay", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Judge the rounds of this report.json again and measure nothing.",
)  # fmt: skip
def command(  # noqa: PLR0913 - one for each option
    *,
    base: str | None,
    head: str,
    quick: bool,
    only: tuple[str, ...],
    output: Path,
    history_file: Path | None,
    seed: int | None,
    replay: Path | None,
) -> None:
    """Say whether HEAD is slower than BASE.

    Both are checked out side by side and run alternately on this machine, each time in fresh
    processes. What is committed is measured; changes that are not are left out. In CI:

    \b
      ./run bench gate --base "$(git merge-base origin/main HEAD)"

    All of it takes at most fifteen minutes on two CPUs. docs/gate.md says how it decides.
    """  # noqa: D301 - \\b is how click is told to leave the line as it is
    from app.errors import AppError
    from benchmarks.gate import history
    from benchmarks.gate.accepted import AcceptedFileError
    from benchmarks.gate.arms import GateError, prepared
    from benchmarks.peers.session import UnmeasuredError

    outcome.check_folders(history_file)
    signal.signal(signal.SIGTERM, _interrupt)
    known = (AcceptedFileError, GateError, history.HistoryError, UnmeasuredError, AppError)
    with outcome.told(*known):
        if history_file:
            history.check(history_file)
        outcome.make_folder(output)
        if replay:
            report = _replayed(replay)
        elif base is None:
            raise click.UsageError("give --base REF, or --replay report.json")
        else:
            drawn = int.from_bytes(os.urandom(4), "big") if seed is None else seed
            with prepared(base, head, _say) as arms:
                report = _measured(arms, quick=quick, only=set(only), seed=drawn)
        report = _with_history(report, history_file)
        _write(report, output)
        if history_file:
            history.append(history_file, report.entries[-1])
        _show(report, output)
    sys.exit(report.judgement.outcome.exit_code)


def _measured(arms: Arms, *, quick: bool, only: set[str], seed: int) -> Report:
    from dataclasses import replace

    from benchmarks.gate import session
    from benchmarks.gate.report import Report
    from benchmarks.machine import describe
    from benchmarks.progress import Progress

    plan = session.QUICK if quick else session.FULL
    if only:  # what is asked for by name is measured in a whole stack
        plan = replace(plan, effort=replace(plan.effort, alone=False))
    declared = _chosen(arms, plan, only)
    accepted = _accepted(arms)
    machine = describe(_PACKAGES)
    begun = time.monotonic()
    gate = session.Gate(arms, plan, declared, accepted, seed, Progress(Console(stderr=True)))
    record, judgement = gate.run(_say)
    minutes = round((time.monotonic() - begun) / 60, 1)
    return _witnessed(
        Report(
            record=record, judgement=judgement, declared=declared, machine=machine, minutes=minutes
        ),
        arms,
    )


def _chosen(arms: Arms, plan: Plan, only: set[str]) -> Declaration:
    try:
        return arms.declared.only(only or plan.usual(arms.declared))
    except LookupError as error:
        raise click.UsageError(str(error)) from error


def _accepted(arms: Arms) -> Accepted:
    """What the head accepts."""
    from datetime import UTC, datetime

    from benchmarks.gate import accepted
    from benchmarks.gate.arms import GateError
    from benchmarks.machine import ROOT

    file = arms.head.root / accepted.FILE.relative_to(ROOT)
    known = arms.declared.names() | {metric.name for metric in arms.declared.metrics()}
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise GateError(f"accepted.toml of the head cannot be read: {error}") from error
    return accepted.parse(text, known, datetime.now(UTC).date())


def _witnessed(report: Report, arms: Arms) -> Report:
    """Count instructions, and find the commits that may be to blame."""
    from dataclasses import replace

    from benchmarks.gate import suspects
    from benchmarks.gate.report import SLOWER

    slower = {each.metric.benchmark for each in report.judgement.of(*SLOWER)}
    return replace(
        report,
        counts=_counts(report, arms),
        suspects={
            each.name: suspects.between(report.record.base, report.record.head, each.covers)
            for each in sorted(slower, key=lambda each: each.name)
        },
    )


def _counts(report: Report, arms: Arms) -> Counts:
    from benchmarks.gate import instructions

    if report.record.quick:
        return instructions.Counts(why_not="not counted in the short form")
    failed = {each.benchmark for each in report.record.failures} | set(report.record.new)
    synchronous = [
        each.name
        for each in report.declared.benchmarks
        if each.synchronous and each.name not in failed
    ]
    return instructions.count(arms, synchronous, os.environ.get("PATH", os.defpath))


def _replayed(file: Path) -> Report:
    import msgspec

    from benchmarks.gate import looks
    from benchmarks.gate.accepted import Accepted
    from benchmarks.gate.declaration import ours
    from benchmarks.gate.judging import judge
    from benchmarks.gate.report import Kept, Report

    try:
        kept = msgspec.json.decode(file.read_bytes(), type=Kept)
    except msgspec.MsgspecError as error:
        raise click.UsageError(f"{file} is no report of a gate: {error}") from error
    names = {metric.partition(" ")[0] for each in kept.record.rounds for metric in each.figures}
    declared = ours().only(names & ours().names())
    planned = looks.QUICK if kept.record.quick else looks.FULL
    return Report(
        record=kept.record,
        judgement=judge(kept.record, declared, Accepted(), planned),
        declared=declared,
        machine=kept.machine,
        minutes=kept.minutes,
    )


def _with_history(report: Report, file: Path | None) -> Report:
    from dataclasses import replace

    from benchmarks.gate import history

    if file is None:
        return report
    added = history.entry(report.record, report.judgement, report.declared, report.machine)
    entries = [*history.read(file), added]
    compared = history.comparable(entries)
    changes = history.changes(compared, report.declared)
    return replace(report, history=compared, changes=changes, entries=entries)


def _write(report: Report, folder: Path) -> None:
    from benchmarks.gate.markdown import markdown
    from benchmarks.gate.page import page

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_bytes(report.json())
    (folder / "report.md").write_text(markdown(report), encoding="utf-8")
    (folder / "report.html").write_bytes(page(report))


def _show(report: Report, folder: Path) -> None:
    from benchmarks.gate import report as words

    click.echo(report.title)
    click.echo(words.summary(report))
    for line in report.judgement.errors:
        click.echo(f"  {line}")
    for line in (*words.about_open(report), *words.about_quarantine(report)):
        click.echo(f"  {line}")
    for line in words.about_experiment(report):
        click.echo(line)
    click.echo(f"Report: {folder / 'report.html'}")


def _say(text: str) -> None:
    click.echo(f"bench: {text}", err=True)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """End in good order, with every process, where the command is told to end."""
    raise KeyboardInterrupt
