"""Runs Tornado's own tests on the engine: `python -m tests.tornado_runner LOOP MODULE...`."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import uvloop
from tornado.test import runtests, simple_httpclient_test

if TYPE_CHECKING:
    from collections.abc import Callable

# It leaves its server listening, which asyncio's event loop forgives when it is closed and uvloop's
# does not: closing it never returns where warnings are errors.
LEFT_OUT_ON_UVLOOP = "test_ipv6"


def main() -> None:
    """Run the modules on the loop."""
    _, loop, *modules = sys.argv
    if loop == "uvloop":
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        setattr(simple_httpclient_test.SimpleHTTPClientTestCase, LEFT_OUT_ON_UVLOOP, None)
    sys.argv = [sys.argv[0], "--httpserver=app.server.HTTPServer", *modules]
    run: Callable[[], None] = runtests.main
    run()


if __name__ == "__main__":
    main()
