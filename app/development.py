"""`windlass dev`: one process that serves and restarts itself when a file of it changes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from typing import TYPE_CHECKING

import tornado.autoreload
import uvloop

from app.errors import StackError
from app.serving import Service
from app.stack import binaries, launch, lifecycle, ports, redis

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.config import Settings
    from app.identity import Identity
    from app.stack.layout import Layout

_REDIS_START_S = 10.0


def run(
    settings: Settings,
    layout: Layout,
    identity: Identity,
    search_path: str,
    say: Callable[[str], None],
) -> None:
    """Serve until Ctrl-C.

    Args:
        settings: of the service.
        layout: of its folders.
        identity: what it answers when it is asked who it is.
        search_path: folders as in PATH, where Redis is looked for.
        say: told of what takes long.

    Raises:
        StackError: a port is taken, by the stack itself for instance, or Redis does not start.
    """
    with lifecycle.exclusively(layout):
        if lifecycle.is_up(layout):
            raise StackError("The stack is up and has the ports; stop it first: windlass down")
        ports.check_free(settings)
        redis.decide(settings, layout)
        if redis.is_managed(settings, layout):
            _start_redis(settings, layout, search_path, say)
        service = Service(settings, identity, redis.address(settings, layout))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(service))


async def _serve(service: Service) -> None:
    tornado.autoreload.start()
    await service.serve_directly()


def _start_redis(
    settings: Settings, layout: Layout, search_path: str, say: Callable[[str], None]
) -> None:
    # After an autoreload the same process comes here again, and its Redis runs already.
    socket_path = redis.socket_path(layout)
    if redis.answers_at(socket_path):
        return
    binary = binaries.provide(binaries.REDIS, layout.root, search_path, say)
    command = redis.argv(binary.path, settings, layout)
    with (layout.logs / "redis.log").open("ab") as output:
        process = subprocess.Popen(
            launch.argv(layout.run, "redis", command, parent=os.getpid()),
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            cwd=layout.state, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + _REDIS_START_S
    while not redis.answers_at(socket_path):
        if process.poll() is not None or time.monotonic() > deadline:
            raise StackError(f"Redis did not start; see {layout.logs / 'redis.log'}")
        time.sleep(0.05)
