"""`windlass up --init`: a container's first process, and what asks it whether it serves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support import Stack, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def container(
    make_stack: Callable[..., Stack], tmp_path: Path
) -> Iterator[tuple[Stack, subprocess.Popen[bytes], Path]]:
    """A stack whose supervisord is the process that was started, and the file of its output."""
    stack = make_stack(LOG_FORMAT="json", ACCESS_LOG="yes")
    output = tmp_path / "output"
    with output.open("ab") as file:
        process = subprocess.Popen(
            (sys.executable, "-m", "app", "up", "--init"),
            env=stack.environ, cwd=tmp_path, stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        wait_for(lambda: stack.run("status", "--serving").returncode == 0, "the service", 60)
        yield stack, process, output
    finally:
        process.terminate()
        process.wait(30)


def test_first_process_is_supervisord(
    container: tuple[Stack, subprocess.Popen[bytes], Path],
) -> None:
    stack, process, _ = container
    assert stack.pid("supervisord") == process.pid
    assert {p["name"] for p in stack.status()["processes"]} >= {"web/0", "nginx", "redis"}
    assert stack.counter() == 1


def test_all_logs_are_on_standard_output(
    container: tuple[Stack, subprocess.Popen[bytes], Path],
) -> None:
    stack, _, output = container
    request_id = stack.get("/health").headers["X-Request-ID"]

    def lines_of_request() -> list[str]:
        return [line for line in output.read_text().splitlines() if request_id in line]

    found = wait_for(lambda: lines if len(lines := lines_of_request()) == 2 else [], "both lines")
    assert {json.loads(line)["path"] for line in found} == {"/health"}
    assert not (stack.state / "log" / "web.log").exists()
    assert not (stack.state / "log" / "nginx.log").exists()


def test_sigterm_stops_all_of_it_in_good_order(
    container: tuple[Stack, subprocess.Popen[bytes], Path],
) -> None:
    stack, process, output = container
    children = stack.processes()[1:]
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert not [child for child in children if child.is_running()]
    with pytest.raises(httpx.ConnectError):
        stack.get("/health")
    assert "stopped: redis (exit status 0)" in output.read_text()


def test_second_one_on_the_same_state_is_refused(
    container: tuple[Stack, subprocess.Popen[bytes], Path],
) -> None:
    stack, process, _ = container
    again = stack.run("up", "--init")
    assert again.returncode == 1
    assert "is up already" in again.stderr
    assert process.poll() is None


def test_stack_that_does_not_answer_is_up_but_not_serving(
    make_stack: Callable[..., Stack],
) -> None:
    stack = make_stack()
    assert stack.run("status", "--serving").returncode == 3
    stack.up()
    assert stack.run("status", "--serving").returncode == 0
    nginx = next(p for p in stack.processes() if p.pid == stack.pid("nginx"))
    stopped = [nginx, *nginx.children(recursive=True)]
    for process in stopped:
        process.suspend()
    try:
        found = stack.run("status", "--serving")
    finally:
        for process in stopped:
            process.resume()
    assert found.returncode == 1
    assert "does not answer" in found.stderr
    assert stack.run("status").returncode == 0
