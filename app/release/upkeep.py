"""The commands by which people keep an environment: approve, tell, lock, close, collect, set up."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.errors import ReleaseError
from app.release import display, inventory, setup, statements
from app.release import messages as m
from app.release.announcing import News, Told, announce
from app.release.caller import CONFIG, JSON, RELEASE, WITHOUT, Caller, operating_as_called
from app.release.fleet import end, under_lease
from app.release.inventory import EVENTS
from app.release.operator import Operator, caller_name, operating
from app.release.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable


@click.command("approve", short_help="Allow a verified release to be deployed there.")
@click.argument("environment")
@click.option(
    "--release", "path", metavar="PATH", required=True, help="Store path that was verified."
)
@click.option("--as", "who", required=True, help="Your name among the approvers of deploy.toml.")
@click.option(
    "--key", type=click.Path(dir_okay=False, exists=True, path_type=Path), required=True,
    help="Your own ssh key, which deploy.toml has for you; its .pub file when your agent has it. "
    "It signs, and opens the hosts of both environments: no deploy key is needed.",
)  # fmt: skip
@CONFIG
def approve_command(environment: str, path: str, who: str, key: Path, config: Path) -> None:
    """Approve a release for ENVIRONMENT, as a change from what it runs now.

    It must have been verified by the environment that this one requires. Your signature goes to
    every host, which checks it by itself; should the environment change before the deployment,
    approve again.
    """
    with operating_as_called(config, environment, key=key) as operator:
        if who not in operator.environment.approvers:
            known = ", ".join(operator.environment.approvers) or "nobody"
            raise ReleaseError(f"{who} may not approve for {environment}; who may: {known}")
        required = operator.environment.requires
        with operating_as_called(config, required, key=key) as before:
            verified = before.ask_all("status", m.Nothing(), m.HostStatus)
        operator.require_verified(verified, path)
        bases = {one.path for one in operator.ask_all("status", m.Nothing(), m.HostStatus).values()}
        if len(bases) != 1:
            raise ReleaseError(
                f"the hosts of {environment} run different releases: {', '.join(sorted(bases))}; "
                "bring them to one first"
            )
        approval = statements.Approval(
            environment, path, bases.pop(), required, list(verified), who, time.time()
        )
        signed = statements.sign(operator.shell, approval, key, statements.APPROVAL)
        operator.ask_all("approve", signed, m.Nothing)
    click.echo(f"{who} approved {path} for {environment}, from {approval.base or 'nothing'}")


@click.command("notify", short_help="Tell whom deploy.toml names that something happened.")
@click.argument("environment")
@click.argument("event", type=click.Choice(EVENTS))
@click.option(
    "--release", "path", metavar="PATH", default="",
    help="Store path of the release that it is about.",
)  # fmt: skip
@click.option("--reason", default="", help="Why, as people shall read it.")
@click.option("--run", "run_id", default="", help="What this is part of: an id, or an address.")
@click.option("--commit", "commits", multiple=True, help="A line on a commit; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Only say what would be sent, and to whom.")
@CONFIG
@JSON
def notify_command(  # noqa: PLR0913 - an option each
    environment: str, event: str, path: str, config: Path, *, reason: str, run_id: str,
    commits: tuple[str, ...], dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Tell those whom deploy.toml names for ENVIRONMENT that something happened to a release.

    For pipelines: deploy and rollback tell by themselves. Needs no key and speaks to no host.
    Exit code 1 when somebody who wants such news could not be told.
    """
    caller: Caller = click.get_current_context().obj
    environ = caller.sources.environ
    wanted = inventory.read(config).environment(environment).notify
    news = News(event, environment, path, caller_name(environ), run_id, reason, list(commits))
    done = Told([one.kind for one in wanted if event in one.on])
    if not dry_run:
        done = announce(wanted, news, environ)
    display.told(news, done, dry_run=dry_run, as_json=as_json)
    if done.faults:
        sys.exit(1)


@click.command("lock", short_help="Let nobody deploy there until: unlock.")
@click.argument("environment")
@click.option("--reason", required=True, help="Why nobody may deploy.")
@CONFIG
def lock_command(environment: str, reason: str, config: Path) -> None:
    """Let nobody deploy to ENVIRONMENT until: windlass unlock."""
    with operating_as_called(config, environment) as operator:
        operator.ask_all("lock", m.Lock(operator.by, reason, 0.0), m.Nothing)
    click.echo(f"{environment} is locked: {reason}")


@click.command("unlock", short_help="Let people deploy there again.")
@click.argument("environment")
@CONFIG
def unlock_command(environment: str, config: Path) -> None:
    """Let people deploy to ENVIRONMENT again."""
    with operating_as_called(config, environment) as operator:
        operator.ask_all("unlock", m.Unlock(operator.by), m.Nothing)
    click.echo(f"{environment} is unlocked")


@click.command("maintenance", short_help="Close the service to clients, or open it again.")
@click.argument("environment")
@click.argument("state", type=click.Choice(["on", "off"]))
@CONFIG
def maintenance_command(environment: str, state: str, config: Path) -> None:
    """Close the service of ENVIRONMENT to clients (503, Retry-After), or open it again."""
    with operating_as_called(config, environment) as operator:
        operator.ask_all("maintenance", m.Maintenance(state == "on", operator.by), m.Nothing)
    click.echo(f"maintenance of {environment} is {state}")


@click.command("gc", short_help="Remove releases that need not be kept.")
@click.argument("environment")
@WITHOUT
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@CONFIG
def gc_command(environment: str, without: tuple[str, ...], config: Path, *, dry_run: bool) -> None:
    """Remove releases from the hosts of ENVIRONMENT that need not be kept.

    Never what runs, the way back, or what deploy.toml keeps by number and age. Each deployment does
    so, too; this also removes what no release has left in the store.
    """

    def show(name: str, done: m.Collected) -> None:
        word = "would go" if dry_run else f"gone, {done.freed_bytes >> 20} MB freed"
        for path in done.paths:
            click.echo(f"{name:12} {path} {word}")
        if not done.paths:
            click.echo(f"{name:12} nothing to remove")

    with operating_as_called(config, environment, without) as operator:
        _under_lease(
            operator,
            lambda fence, deploy_id: m.Collect(fence, deploy_id, operator.by, dry_run), show,
        )  # fmt: skip


def _under_lease(
    operator: Operator,
    order: Callable[[int, str], m.Collect],
    show: Callable[[str, m.Collected], None],
) -> None:
    progress = Progress(lambda _: None)
    with under_lease(
        operator.environment, operator.remotes, operator.new_deploy(), operator.by, progress
    ) as fleet:
        try:
            for one in fleet.members:
                wanted = order(one.fence, fleet.deploy)
                show(one.name, one.remote.ask("collect", wanted, m.Collected, 900.0))
        finally:
            end(fleet, "collected")


@click.command("setup", short_help="Prepare servers; does nothing twice.")
@click.argument("environment")
@RELEASE
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@CONFIG
def setup_command(environment: str, path: str | None, config: Path, *, dry_run: bool) -> None:
    """Prepare the servers of ENVIRONMENT: user, folders, units, the keys' forced commands.

    The keys are the deploy key and those of approvers: of ENVIRONMENT, and of what requires it.
    Comes as each host's `admin`, by your own ssh key. Does nothing twice.
    """
    caller: Caller = click.get_current_context().obj
    with operating(config, environment, caller.sources.environ, admin=True) as operator:
        release = path or operator.build()
        operator.require_whole(release)
        for remote in operator.remotes:
            wanted = setup.installation(operator, release, remote.host.user)
            done = setup.set_up(operator, remote, release, wanted, dry_run=dry_run, say=caller.say)
            display.setup(remote.name, done, dry_run=dry_run)


COMMANDS = (
    approve_command,
    notify_command,
    lock_command,
    unlock_command,
    maintenance_command,
    gc_command,
    setup_command,
)
