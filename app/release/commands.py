"""The commands that act on the servers of deploy.toml; `app.cli` mounts them when one is asked for.

Exit codes as everywhere: 0 done, 1 not (and the last line says what every host runs), 78 a wrong
deploy.toml. What was asked for and would be the wrong thing is refused before anything is touched.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from app.errors import AppError, ReleaseError
from app.release import announcing, deploy, display, interrupts, preview, upkeep
from app.release import messages as m
from app.release.announcing import News
from app.release.caller import (
    CONFIG,
    DRY_RUN,
    JSON,
    KEY,
    RELEASE,
    WITHOUT,
    Caller,
    operating_as_called,
)
from app.release.change import Change, Outcome
from app.release.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

    from app.release.operator import Operator


def _progress(*, as_json: bool) -> Progress:
    return Progress(display.as_json if as_json else display.People().show)


# ---- deploy and rollback


@click.command("deploy", short_help="Bring a release to every host, or leave every host as it was.")
@click.argument("environment")
@RELEASE
@WITHOUT
@click.option("--reason", default="", help="Why; goes to the audit log and to who is notified.")
@DRY_RUN
@CONFIG
@JSON
def deploy_command(  # noqa: PLR0913 - an option each
    environment: str, path: str | None, without: tuple[str, ...], reason: str, config: Path, *,
    dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Bring a release to every host of ENVIRONMENT, or leave every host where it was.

    Copy, check, switch by batches, probe, watch real traffic, confirm. A host that is not confirmed
    goes back by itself, whatever happens to this command.

    \b
      windlass plan staging         what it would change; so does --dry-run
      windlass deploy staging       build .#release here, then deploy it
      windlass deploy production --release PATH
                                    what staging verified and a person approved

    Exit code 0: every host runs it and is well. 1: not so; the last lines say what every host runs.
    78: deploy.toml is wrong. With --json, an event a line, and the outcome as the last.
    """  # noqa: D301 - \\b is how click is told to leave the lines as they are
    if dry_run:
        _show_plan(environment, path, config, without, as_json=as_json)
        return
    progress = _progress(as_json=as_json)
    with operating_as_called(config, environment, without) as operator:
        if path is None:
            path = _verified_or_built(operator, progress)
        operator.require_whole(path)
        _require_verified(operator, config, path)
        with progress.step("sign"):
            release = operator.sign(path)
        change = Change(
            operator.new_deploy(), path, operator.by, reason, release, sizes=operator.sizes(path)
        )
        _run(operator, change, progress, as_json=as_json)


@click.command("rollback", short_help="Return every host to a release that ran there before.")
@click.argument("environment")
@click.argument("release", required=False)
@WITHOUT
@click.option("--reason", default="rollback", help="Why; goes to the audit log.")
@DRY_RUN
@CONFIG
@JSON
def rollback_command(  # noqa: PLR0913 - an option each
    environment: str, release: str | None, without: tuple[str, ...], reason: str, config: Path, *,
    dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Return every host of ENVIRONMENT to RELEASE, which was confirmed there before.

    RELEASE is a store path, or a release's name or commit. Without it, the candidates are named.
    Nothing is built or copied: every host still has what can be named. Exit codes as of deploy.

    \b
      windlass rollback staging             what can be gone back to
      windlass rollback staging 4f1c2d9     go there
    """  # noqa: D301 - as above
    progress = _progress(as_json=as_json)
    with operating_as_called(config, environment, without) as operator:
        candidates = operator.candidates()
        if release is None:
            display.candidates(list(candidates.values()), as_json=as_json)
            return
        path = _chosen(candidates, release)
        if dry_run:
            display.would_go_back(operator.ask_all("status", m.Nothing(), m.HostStatus), path)
            return
        change = Change(operator.new_deploy(), path, operator.by, reason, None, is_rollback=True)
        _run(operator, change, progress, as_json=as_json)


def _run(operator: Operator, change: Change, progress: Progress, *, as_json: bool) -> None:
    """Carry a change out, tell everybody, and end with the truth."""
    commits = _commits(operator, change)
    _tell(operator, change, progress, "started", commits)
    begun = time.monotonic()
    interrupts.raise_at_the_first()
    try:
        outcome = deploy.carry_out(
            change, operator.environment, operator.remotes, progress, interrupts.ignore_from_now_on
        )
    except AppError as error:
        refused = Outcome(str(error), was_switched=False, hosts={}, all_as_wanted=True)
        _tell(operator, change, progress, "failed", commits, refused)
        raise
    _tell(operator, change, progress, outcome.event, commits, outcome)
    display.outcome(
        outcome, change, operator.environment.name, time.monotonic() - begun, as_json=as_json
    )
    if outcome.event != "succeeded":
        sys.exit(1)


def _tell(
    operator: Operator, change: Change, progress: Progress, event: str, commits: list[str],
    outcome: Outcome | None = None,
) -> None:  # fmt: skip
    caller: Caller = click.get_current_context().obj
    news = News(
        event, operator.environment.name, change.path, change.by, change.deploy,
        (outcome.reason if outcome else "") or change.reason, commits,
        outcome.hosts if outcome else {},
    )  # fmt: skip
    done = announcing.announce(operator.environment.notify, news, caller.sources.environ)
    for fault in done.faults:
        progress.say("notify", fault)


def _commits(operator: Operator, change: Change) -> list[str]:
    """The commits that a change brings, for those who are told of it."""
    if not operator.environment.notify:
        return []
    try:
        first = operator.remotes[0].ask("status", m.Nothing(), m.HostStatus)
    except AppError:  # the run itself will say it
        return []
    return preview.commits(operator, first.commit, preview.commit_of(change.path))


def _verified_or_built(operator: Operator, progress: Progress) -> str:
    if operator.environment.requires:
        raise ReleaseError(
            f"{operator.environment.name} takes what {operator.environment.requires} has verified: "
            f"name it with --release; windlass releases {operator.environment.requires} lists them"
        )
    with progress.step("build"):
        return operator.build()


def _require_verified(operator: Operator, config: Path, path: str) -> None:
    if operator.environment.requires:
        with operating_as_called(config, operator.environment.requires) as before:
            found = before.ask_all("status", m.Nothing(), m.HostStatus)
        operator.require_verified(found, path)


def _chosen(candidates: dict[str, m.Confirmed], release: str) -> str:
    """The one candidate that `release` names.

    Raises:
        ReleaseError: none does, or more than one.
    """
    found = [
        path
        for path, one in candidates.items()
        if release in {path, one.name} or (len(release) >= 4 and one.commit.startswith(release))
    ]
    if len(found) == 1:
        return found[0]
    there = "\n".join(f"  {path}  {one.name}" for path, one in candidates.items()) or "  none"
    what = "names no release" if not found else "names more than one release"
    raise ReleaseError(
        f"{release} {what} that every host was confirmed with and still has. There are:\n{there}"
    )


# ---- what is asked


@click.command("status", short_help="What every host runs, since when, and whether it is well.")
@click.argument("environment")
@KEY
@CONFIG
@JSON
def status_command(environment: str, config: Path, key: Path | None, *, as_json: bool) -> None:
    """Show what every host of ENVIRONMENT runs, since when, and whether it is healthy."""
    with operating_as_called(config, environment, key=key) as operator:
        found = operator.try_all("status", m.Nothing(), m.HostStatus)
    display.status(environment, found, as_json=as_json)
    if not all(isinstance(one, m.HostStatus) and not one.fault for one in found.values()):
        sys.exit(1)


@click.command("releases", short_help="Which releases were confirmed, and where each is kept.")
@click.argument("environment")
@KEY
@CONFIG
@JSON
def releases_command(environment: str, config: Path, key: Path | None, *, as_json: bool) -> None:
    """List the releases that were confirmed in ENVIRONMENT, and where each is kept."""
    with operating_as_called(config, environment, key=key) as operator:
        found = operator.ask_all("status", m.Nothing(), m.HostStatus)
    display.releases(found, as_json=as_json)


@click.command("audit", short_help="Who did what, when and why.")
@click.argument("environment")
@click.option(
    "-n", "--entries", default=20, show_default=True, type=click.IntRange(1, 100_000),
    help="How many of the last entries of each host.",
)  # fmt: skip
@KEY
@CONFIG
@JSON
def audit_command(
    environment: str, entries: int, config: Path, key: Path | None, *, as_json: bool
) -> None:
    """Show who did what to ENVIRONMENT, when and why; exit code 1 when a log was tampered with."""
    with operating_as_called(config, environment, key=key) as operator:
        found = operator.ask_all("audit", m.AuditWanted(entries), m.Audited)
    display.audit(found, as_json=as_json)
    if any(one.fault for one in found.values()):
        sys.exit(1)


@click.command("plan", short_help="What a deployment would change.")
@click.argument("environment")
@RELEASE
@CONFIG
@JSON
def plan_command(environment: str, path: str | None, config: Path, *, as_json: bool) -> None:
    """Show what a deployment to ENVIRONMENT would change: nothing is sent or switched.

    Packages and bytes, the commits since, the configuration of Nginx and supervisord, settings.
    """
    _show_plan(environment, path, config, as_json=as_json)


def _show_plan(
    environment: str, path: str | None, config: Path, without: tuple[str, ...] = (), *,
    as_json: bool,
) -> None:  # fmt: skip
    with operating_as_called(config, environment, without) as operator:
        found = preview.preview(operator, path or operator.build())
    display.plan(environment, found, as_json=as_json)


@click.command("diff", short_help="The commits that the hosts do not have yet.")
@click.argument("environment")
@click.argument("target", default="HEAD")
@KEY
@CONFIG
@JSON
def diff_command(
    environment: str, target: str, config: Path, key: Path | None, *, as_json: bool
) -> None:
    """List the commits that TARGET (a commit, or another environment) has and ENVIRONMENT has not.

    Says so, too, when the hosts of ENVIRONMENT do not all run the same.
    """
    with operating_as_called(config, environment, key=key) as operator:
        found = operator.ask_all("status", m.Nothing(), m.HostStatus)
        if target in operator.inventory.environments:
            with operating_as_called(config, target, key=key) as other:
                theirs = other.ask_all("status", m.Nothing(), m.HostStatus)
            target = next(iter(theirs.values())).commit
        runs = {name: one.commit for name, one in found.items()}
        missing = {name: preview.commits(operator, commit, target) for name, commit in runs.items()}
    display.difference(runs, missing, target, as_json=as_json)


@click.command("logs", short_help="What the programs of every host say.")
@click.argument("environment")
@click.argument("programs", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come, until Ctrl-C.")
@click.option("-n", "--lines", default=20, show_default=True, type=click.IntRange(0, 100_000))
@KEY
@CONFIG
def logs_command(
    environment: str, programs: tuple[str, ...], lines: int, config: Path, key: Path | None, *,
    follow: bool,
) -> None:  # fmt: skip
    """Show what the programs of every host of ENVIRONMENT say."""
    words = [*programs, f"--lines={lines}", *(["--follow"] if follow else [])]
    with operating_as_called(config, environment, key=key) as operator:
        if not display.follow(operator.remotes, words):
            sys.exit(1)


@click.command(
    "exec",
    short_help="Run check, config or status of the release on every host.",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("environment")
@click.argument("words", nargs=-1, required=True)
@CONFIG
def exec_command(environment: str, words: tuple[str, ...], config: Path) -> None:
    """Run a command of the release (check, config, status) on every host of ENVIRONMENT.

    Nothing else can be run: the deploy key opens no shell. For that, log in as yourself.
    """
    with operating_as_called(config, environment) as operator:
        found = operator.ask_all("execute", m.Execute(list(words)), m.Executed, 150.0)
    for name, done in found.items():
        for line in done.output.splitlines():
            click.echo(click.style(f"{name:12} ", fg="cyan") + line)
    if any(done.code for done in found.values()):
        sys.exit(1)


COMMANDS = {
    command.name or "": command
    for command in (
        deploy_command, rollback_command, status_command, releases_command, audit_command,
        plan_command, diff_command, logs_command, exec_command, *upkeep.COMMANDS,
    )
}  # fmt: skip
