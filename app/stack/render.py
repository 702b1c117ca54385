"""`supervisord.conf` and `nginx/nginx.conf` with the settings filled in."""

from __future__ import annotations

import gzip
import shlex
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tornado.template import Template

from app.files import write_whole
from app.stack import keeper, launch, nginx, redis, upgrade
from app.stack.layout import user_name

if TYPE_CHECKING:
    from pathlib import Path

    from app.stack.plan import Plan

_STOP_MARGIN_S = 5
_REDIS_STOP_S = 10
_COMPRESSIBLE = {".css", ".js", ".svg", ".json", ".txt"}


@dataclass(frozen=True, slots=True)
class Program:
    """One program that supervisord runs.

    Attributes:
        argv: what it executes, by absolute path.
        priority: lower starts first and stops last.
        stop_signal: asks it to finish in good order.
        stop_wait_s: seconds after which it is killed instead.
    """

    name: str
    argv: tuple[str, ...]
    priority: int
    stop_signal: str
    stop_wait_s: int


def write(plan: Plan) -> None:
    """Write the configuration of supervisord and of Nginx."""
    write_whole(plan.supervisord_conf, supervisord(plan).encode())
    write_whole(plan.nginx_conf, nginx.configuration(plan).encode())


def publish_static(plan: Plan) -> None:
    """Put the static files where Nginx serves them; those of other releases stay."""
    for hashed, source in plan.static.files.items():
        _publish(source, plan.layout.static / hashed)


def supervisord(plan: Plan) -> str:
    """The text of supervisord's configuration."""
    return _render(
        plan.layout.conf / "supervisord.conf",
        user=user_name(),
        run=plan.layout.run,
        logs=plan.layout.logs,
        state=plan.layout.state,
        to_stdout=plan.logs_to_stdout,
        programs=programs(plan),
        command=partial(_supervisord_command, plan.layout.run),
    )


def programs(plan: Plan) -> list[Program]:
    """What supervisord runs, in the order in which it starts."""
    drain_s = plan.settings.drain_timeout_s + _STOP_MARGIN_S
    found = [
        Program("web", _master(plan), 20, "TERM", drain_s),
        Program("nginx", _kept_nginx(plan), 30, "QUIT", drain_s),
    ]
    if plan.redis:
        argv = redis.argv(plan.redis.path, plan.settings, plan.layout)
        found.insert(0, Program("redis", argv, 10, "TERM", _REDIS_STOP_S))
    return found


def stop_timeout_s(drain_timeout_s: float) -> float:
    """Seconds that the stack may take to stop: its programs stop one after the other."""
    return 2 * (drain_timeout_s + _STOP_MARGIN_S) + _REDIS_STOP_S + _STOP_MARGIN_S


def _master(plan: Plan) -> tuple[str, ...]:
    if plan.profile:
        return (str(plan.profile / "bin" / "windlass"), "serve")
    return (sys.executable, "-m", "app", "serve")


def _kept_nginx(plan: Plan) -> tuple[str, ...]:
    command = nginx.argv(plan, str(upgrade.link(plan.layout)))
    return keeper.argv(upgrade.pid_file(plan.layout), command)


def _supervisord_command(run: Path, program: Program) -> str:
    # supervisord splits the command as a shell would and expands percent signs in it.
    return shlex.join(launch.argv(run, program.name, program.argv)).replace("%", "%%")


def _publish(source: Path, target: Path) -> None:
    """Put a static file under its hashed name, with a gzip beside it where that is smaller."""
    if target.exists():
        return
    content = source.read_bytes()
    packed = _packed(source, content)
    if packed and len(packed) < len(content):
        write_whole(target.with_name(target.name + ".gz"), packed, 0o644)
    write_whole(target, content, 0o644)


def _packed(source: Path, content: bytes) -> bytes | None:
    """The gzip that a release carries beside the file, or one made now; None where none pays."""
    carried = source.with_name(source.name + ".gz")
    if carried.is_file():
        return carried.read_bytes()
    if source.suffix not in _COMPRESSIBLE:
        return None
    return gzip.compress(content, compresslevel=9, mtime=0)


def _render(template: Path, **values: object) -> str:
    loaded = Template(template.read_text(), name=template.name, autoescape=None, whitespace="all")
    return loaded.generate(**values).decode()
