"""What a run stands on: the peers' environment, a Redis, a scratch folder; and what it ran on."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.stack import binaries
from benchmarks.machine import ROOT, describe
from benchmarks.peers import environment
from benchmarks.peers.redis_server import redis
from benchmarks.peers.servers import IN_OUR_ENVIRONMENT
from benchmarks.peers.session import Choice, Cpus, Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.machine import Machine
    from benchmarks.progress import Progress

_OURS = ("tornado", "uvloop", "httptools", "redis", "hiredis", "msgspec")
_THEIRS = ("starlette", "granian", "fastapi", "uvicorn", "flask", "gunicorn", "jinja2", "uvloop")


@contextmanager
def prepared(choice: Choice, progress: Progress) -> Iterator[Session]:
    """Make ready what every part needs, and take it away at the end.

    Raises:
        UnmeasuredError: something does not start or cannot be installed.
        StackError: Redis is missing.
    """
    needed = not IN_OUR_ENVIRONMENT.issuperset(choice.servers)
    peers = environment.provide(progress) if needed else None
    cpus = Cpus.of_this_machine()
    with tempfile.TemporaryDirectory(prefix="windlass-peers-") as folder:
        scratch = Path(folder)
        with redis(scratch, cpus.load, say) as url:
            chosen = {each.name: getattr(choice, each.name) for each in fields(Choice)}
            session = Session(
                **chosen, peers=peers, redis=url, cpus=cpus, progress=progress, scratch=scratch
            )
            session.env_file.touch()
            yield session


def machine(session: Session) -> Machine:
    """This machine, and the versions of everything that takes part."""
    found = describe(_OURS)
    search_path = os.environ.get("PATH", os.defpath)
    programs = {
        f"{wanted.name}": binaries.provide(wanted, ROOT, search_path, say).version_text
        for wanted in (binaries.NGINX, binaries.REDIS)
    }
    theirs = session.peers.versions if session.peers else {}
    peers = {f"{name} (peers)": theirs[name] for name in _THEIRS if name in theirs}
    return replace(found, packages=found.packages | programs | peers)


def say(text: str) -> None:
    """Tell of what takes long, on standard error."""
    click.echo(f"bench: {text}", err=True)
