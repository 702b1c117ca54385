"""What a worker tells of itself while it serves: that it has no file descriptor left."""

from __future__ import annotations

import asyncio
import io
import json
import os
import resource
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from app import log
from app.process import pulse
from app.process.duty import beating
from app.process.worker import WorkerContext

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as lowest:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest.fileno() + 1, hard))
    try:
        with socket.socket():  # the last one there is
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("logging_as_before")
def test_a_worker_without_descriptors_says_so_once_and_says_when_it_is_over() -> None:
    out = io.StringIO()
    log.configure(as_json=True, level="info", stream=out)
    descriptor = pulse.make()

    async def work() -> None:
        with socket.socket() as listener:
            page = pulse.Pulse(descriptor)
            context = WorkerContext(0, [listener], 1.0, -1, page, 0.01)
            with beating(context, lambda: 0):
                with no_descriptor_left():
                    await asyncio.sleep(0.1)
                beats = page.beats
                assert beats > 3, "it lives"
                await asyncio.sleep(0.1)
                assert page.beats > beats

    asyncio.run(work())
    os.close(descriptor)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["level"] for line in lines] == ["error", "warning"]
    assert lines[0]["reason"] == "Too many open files"
    assert "LimitNOFILE" in lines[0]["advice"]
