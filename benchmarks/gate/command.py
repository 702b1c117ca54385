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

    _check_usage(base, history_file, replay, output)
    _end_in_good_order()
    outcome.make_folder(output)
    known = (AcceptedFileError, GateError, history.HistoryError, UnmeasuredError, AppError)
    with outcome.told(*known, also=lambda sentence: _write_error(sentence, output)):
        _clear(output)  # what another run has left would be taken for this one's
        if history_file:
            history.check(history_file)
        if replay:
            report = _replayed(replay)
        elif base:
            _say_what_is_left_out(base, head)
            drawn = int.from_bytes(os.urandom(4), "big") if seed is None else seed
            with prepared(base, head, _say) as arms:
                report = _measured(arms, quick=quick, only=set(only), seed=drawn)
        report = _with_history(report, history_file)
        _write(report, output)
        if history_file:
            history.append(history_file, report.entries[-1])
        _show(report, output)
    sys.exit(report.judgement.outcome.exit_code)


def _check_usage(
    base: str | None, history_file: Path | None, replay: Path | None, output: Path
) -> None:
    """Refuse what cannot be meant.

    Raises:
        click.UsageError: says what to give instead.
    """
    outcome.check_folders(history_file)
    if replay is None and not base:
        raise click.UsageError("give --base REF, or --replay report.json")
    if replay and history_file:
        raise click.UsageError("a replay is no other gate; leave --history out")
    if replay and replay.resolve().parent == output.resolve():
        raise click.UsageError(f"a replay would overwrite {replay}; give another --output")


def _say_what_is_left_out(base: str, head: str) -> None:
    """Say that changes are not measured which are not committed.

    Raises:
        click.UsageError: base and head are one commit.
    """
    from benchmarks.gate.arms import resolve
    from benchmarks.gate.git import git
    from benchmarks.machine import ROOT

    if resolve(base) == resolve(head):
        raise click.UsageError(f"{base} and {head} are one commit; commit what is to be judged")
    if resolve(head) == resolve("HEAD"):
        files = git(ROOT, "status", "--porcelain").splitlines()
        if files:
            _say(f"not committed, so not measured: {', '.join(each[3:] for each in files)}")


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
            record=record,
            judgement=judgement,
            declared=declared,
            machine=machine,
            minutes=minutes,
            accepted=accepted,
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
    primary = {metric.name for metric in arms.declared.metrics() if metric.primary}
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise GateError(f"accepted.toml of the head cannot be read: {error}") from error
    today = datetime.now(UTC).date()
    return accepted.parse(text, arms.declared.names() | primary, today, arms.base_accepted)


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
            each.name: suspects.between(
                report.record.base, report.record.head, (*each.covers, *suspects.ENVIRONMENT)
            )
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
    if synchronous:
        _say(f"counting instructions, {instructions.TIMEOUT_S:.0f} s at most")
    return instructions.count(arms, synchronous, os.environ.get("PATH", os.defpath))


def _replayed(file: Path) -> Report:
    import msgspec

    from benchmarks.gate import looks
    from benchmarks.gate.judging import judge
    from benchmarks.gate.report import Kept, Report

    try:
        kept = msgspec.json.decode(file.read_bytes(), type=Kept)
    except msgspec.MsgspecError as error:
        raise click.UsageError(f"{file} is no report of a gate: {error}") from error
    planned = looks.QUICK if kept.record.quick else looks.FULL
    return Report(
        record=kept.record,
        judgement=judge(kept.record, kept.declared, kept.accepted, planned),
        declared=kept.declared,
        machine=kept.machine,
        minutes=kept.minutes,
        accepted=kept.accepted,
        suspects=kept.suspects,
        counts=kept.instructions,
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

    (folder / "report.json").write_bytes(report.json())
    (folder / "report.md").write_text(markdown(report), encoding="utf-8")
    (folder / "report.html").write_bytes(page(report))


def _clear(folder: Path) -> None:
    for name in ("report.json", "report.md", "report.html"):
        (folder / name).unlink(missing_ok=True)


def _write_error(sentence: str, folder: Path) -> None:
    """Write a report that says why there is none."""
    from benchmarks.gate.report import as_json
    from benchmarks.gate.verdicts import Outcome

    found = {"outcome": Outcome.ERROR, "exit_code": Outcome.ERROR.exit_code, "summary": sentence}
    (folder / "report.json").write_bytes(as_json(found))
    text = f"# Benchmarks: {Outcome.ERROR}\n\nNothing was judged:\n\n    "
    text += "\n    ".join(sentence.splitlines())
    (folder / "report.md").write_text(f"{text}\n", encoding="utf-8")
    (folder / "report.html").unlink(missing_ok=True)


def _show(report: Report, folder: Path) -> None:
    from benchmarks.gate import report as words

    click.echo(report.title)
    click.echo(words.summary(report))
    for line in report.judgement.errors:
        click.echo(f"  {line}")
    for name, commits in report.suspects.items():
        for line in commits:
            click.echo(f"  suspect for {name}: {line}")
    for line in (*words.about_open(report), *words.about_quarantine(report)):
        click.echo(f"  {line}")
    for line in words.about_experiment(report):
        click.echo(line)
    click.echo(f"Report: {folder / 'report.html'}")


def _say(text: str) -> None:
    click.echo(f"bench: {text}", err=True)


def _end_in_good_order() -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """End in good order, with every process, where the command is told to end."""
    raise KeyboardInterrupt
