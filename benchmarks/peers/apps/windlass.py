"""Windlass with one worker and nothing in front of it: `python -m benchmarks.peers.apps.windlass`.

Everything is as in a worker of the stack; only the sockets are the service's own ports. The engine
is what HTTP_ENGINE says.
"""

from __future__ import annotations

import asyncio
import os

import uvloop

from app import config, identity, log
from app.serving import Service
from app.stack import layout


def main() -> None:
    """Serve on HOST and PORT until SIGTERM."""
    settings = config.load(config.Sources(os.environ, None))
    log.configure(as_json=settings.logs_json, level=settings.log_level)
    service = Service(settings, identity.identify(layout.project_root()), settings.redis_address)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(service.serve_directly())


if __name__ == "__main__":
    main()
