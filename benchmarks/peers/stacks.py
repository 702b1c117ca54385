"""Every server behind the same Nginx: the stack of `./run up`, rendered by the same code.

supervisord, Nginx, their configuration and their logs are the product's own. For a peer only the
command of the program `web` is another; its workers share one socket, which stands under the name
of each worker's.
"""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app import config
from app.files import write_whole
from app.stack import launch, lifecycle, plan, render, upgrade
from app.web.application import STATIC_FOLDER
from app.web.assets import Assets
from benchmarks.peers.probe import answers
from benchmarks.peers.processes import Command, running, wait_until
from benchmarks.peers.run import say
from benchmarks.peers.servers import (
    TITLES,
    WINDLASS,
    Server,
    command_of,
    is_application,
    settings,
)
from benchmarks.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.stack.plan import Plan
    from benchmarks.peers.session import Session

_OURS = (sys.executable, "-m", "app", "serve")


@contextmanager
def behind_nginx(name: str, session: Session, workers: int) -> Iterator[Server]:
    """Run a whole stack with a server in it; what it yields is Nginx's address.

    Raises:
        StackError: Nginx is missing or refuses its configuration.
        UnmeasuredError: the stack does not come up.
    """
    application = name if is_application(name) else WINDLASS
    environ = settings(application, session.redis) | {
        "STATE_DIR": str(session.scratch / f"stack-{name}"),
        "PORT": str(free_port()),
        "WORKERS": str(workers),
        "WINDLASS_ENV_FILE": str(session.env_file),
    }
    made = plan_of(environ)
    render.publish_static(made)
    render.write(made)
    if name != application:
        command = command_of(name, session, f"unix:{_socket_path(made, 0)}", workers)
        environ |= command.environ
        put_in_place_of_ours(made, command)
        for slot in range(1, workers):
            _socket_path(made, slot).symlink_to(_socket_path(made, 0))
    lifecycle.test_nginx(made)
    upgrade.point(made.layout, made.nginx.path)
    argv = (sys.executable, "-m", "app.stack.supervisord", "-c", str(made.supervisord_conf))
    log = session.scratch / f"stack-{name}.log"
    with running(Command(argv, environ), log) as process:
        address = f"127.0.0.1:{made.settings.port}"
        wait_until(lambda: answers(address), process, log, f"{TITLES[name]} behind Nginx")
        yield Server(name, process, [address])


def plan_of(environ: dict[str, str]) -> Plan:
    """All that the stack of these settings runs with."""
    assets = Assets(STATIC_FOLDER)
    static = plan.StaticFiles(
        assets.files, assets.address("windlass.css"), STATIC_FOLDER / "favicon.svg"
    )
    chosen = config.load(config.Sources(environ, None))
    return plan.make(chosen, static, os.environ.get("PATH", os.defpath), say)


def _socket_path(made: Plan, slot: int) -> Path:
    return made.layout.run / f"worker-{slot}.sock"


def put_in_place_of_ours(made: Plan, command: Command) -> None:
    """Have a rendered stack run a command as its program `web`."""
    text = made.supervisord_conf.read_text(encoding="utf-8")
    ours, theirs = (
        shlex.join(launch.argv(made.layout.run, "web", argv)).replace("%", "%%")
        for argv in (_OURS, command.argv)
    )
    if text.count(ours) != 1:
        raise LookupError("supervisord.conf does not have the command of web as it is known here")
    write_whole(made.supervisord_conf, text.replace(ours, theirs).encode())
