"""`windlass host`: the agent's own commands, run by sshd and by the units of a server."""

from __future__ import annotations

import io
import os
import select
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, cast

import click
import msgspec

from app.errors import RefusedError
from app.release.argv import SERVE_STORE
from app.release.host import gate as gates
from app.release.host.agent import Agent
from app.release.host.site import Site
from app.release.messages import DEPLOY_KEY, Extend
from app.release.shell import Shell

if TYPE_CHECKING:
    from app.config import Sources

DEFAULT_BASE = "/var/lib/windlass"
_LONGEST_ORDER = 1 << 20
_FIRST_LINE_S = 60.0


class _Caller(Protocol):
    """What of the command line's context is used here."""

    @property
    def sources(self) -> Sources: ...


@click.group("host")
@click.option(
    "--base", type=click.Path(path_type=Path), default=DEFAULT_BASE, show_default=True,
    help="Folder of the host's records.",
)  # fmt: skip
@click.pass_context
def group(ctx: click.Context, base: Path) -> None:
    """The agent of a server: run by sshd and by systemd, not by people."""
    caller: _Caller = ctx.obj
    ctx.obj = _Host(Site(base.absolute()), dict(caller.sources.environ))


class _Host:
    def __init__(self, site: Site, environ: dict[str, str]) -> None:
        self.site = site
        self.environ = environ
        self.agent = Agent.at(site, environ)


@group.command()
@click.option("--as", "who", help="Whose key it is.  [default: the deploy key]")
@click.option("--role", type=click.Choice(gates.ROLES), help="What it may ask for.")
@click.pass_obj
def gate(host: _Host, who: str | None, role: str | None) -> None:
    """Carry out what the holder of a key asks for; the key's forced command."""
    if (who is None) != (role is None):
        raise click.UsageError("--as and --role belong together; run: windlass setup")
    host.agent = Agent.at(host.site, host.environ, key=who or DEPLOY_KEY)
    asked = host.environ.get("SSH_ORIGINAL_COMMAND", "")
    try:
        words = gates.admitted(asked, role or gates.DEPLOYER)
    except RefusedError as error:
        click.echo(f"windlass: {error}", err=True)
        sys.exit(1)
    if words == SERVE_STORE:
        _serve_store(host, words)
    elif words[0] == gates.LOGS:
        _show_logs(host, words[1:])
    elif words[0] == gates.HOLD:
        _hold(host)
    else:
        _carry_out(host, words[0])


@group.command()
@click.argument("name")
@click.pass_obj
def order(host: _Host, name: str) -> None:
    """Carry out one order, whose content is JSON on standard input."""
    if name not in host.agent.orders():
        raise click.BadParameter(f"there are: {', '.join(sorted(host.agent.orders()))}")
    _carry_out(host, name)


@group.command()
@click.pass_obj
def guard(host: _Host) -> None:
    """Take switches back that nobody confirms in time; never ends."""
    from app import log
    from app.release.host import guard as guards

    log.configure(as_json=True, level="info")
    guards.watch(host.agent.switching, host.environ)


@group.command()
@click.pass_obj
def run(host: _Host) -> None:
    """Become the service of the profile, once there is one."""
    from app import log
    from app.release.host import guard as guards

    log.configure(as_json=True, level="info")
    guards.run_service(host.agent.switching, host.environ)


@group.command()
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.pass_obj
def install(host: _Host, *, dry_run: bool) -> None:
    """Lay down what a server needs, as JSON on standard input says; for root."""
    from app.release.host import install as installing

    wanted = msgspec.json.decode(
        sys.stdin.buffer.read(_LONGEST_ORDER), type=installing.Installation
    )
    for what, changed in installing.install(wanted, Shell(host.environ), dry_run=dry_run):
        line = msgspec.json.encode({"what": what, "changed": changed})
        sys.stdout.write(line.decode() + "\n")


def _serve_store(host: _Host, words: tuple[str, ...]) -> None:
    from app.release.host import receiving

    environ = host.site.service_environ(host.environ)
    client = io.FileIO(sys.stdin.fileno(), closefd=False)
    try:
        sys.exit(receiving.serve(words, environ, cast("IO[bytes]", client)))
    except RefusedError as error:
        click.echo(f"windlass: {error}", err=True)
        sys.exit(1)


def _carry_out(host: _Host, name: str) -> None:
    message = sys.stdin.buffer.read(_LONGEST_ORDER)
    reply = host.agent.answer(name, message)
    sys.stdout.buffer.write(msgspec.json.encode(reply) + b"\n")
    sys.stdout.flush()
    if reply.refusal is not None:
        sys.exit(1)


def _hold(host: _Host) -> None:
    """Extend a lease with each line, until they end or the lease is over."""
    waiting, patience_s = b"", _FIRST_LINE_S
    while select.select([sys.stdin], [], [], patience_s)[0]:
        part = os.read(sys.stdin.fileno(), _LONGEST_ORDER)
        if not part or len(waiting) > _LONGEST_ORDER:
            return
        *lines, waiting = (waiting + part).split(b"\n")
        for line in lines:
            reply = host.agent.answer("extend", line)
            sys.stdout.buffer.write(msgspec.json.encode(reply) + b"\n")
            sys.stdout.flush()
            if reply.refusal is not None:
                return
            # By then the lease is over, and whoever is still there must ask anew. The record of the
            # lease may be another's already, and its holder is owed an answer that says so.
            patience_s = msgspec.json.decode(line, type=Extend).window_s


def _show_logs(host: _Host, words: tuple[str, ...]) -> None:
    path = host.site.current() or str(host.site.agent)
    program = str(Path(path, "bin", "windlass"))
    environ = host.site.service_environ(host.environ) | {"NO_COLOR": "1"}
    os.execve(program, (program, "logs", *words), environ)  # noqa: S606
