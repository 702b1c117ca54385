"""A changed Nginx takes over from the one that runs, and no request fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from app.stack import binaries
from tests.support import ROOT, Stack, wait_for
from tests.traffic import Traffic, waits_for_idle_clients

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder of PATH with a copy of Nginx that a test may change."""
    folder = tmp_path / "bin"
    folder.mkdir()
    put(folder)
    return folder


def put(folder: Path) -> None:
    """Put another file in the place of the folder's Nginx, as a package's update does."""
    found = binaries.provide(binaries.NGINX, ROOT, os.environ["PATH"], print)
    half = folder / ".nginx"
    shutil.copy(found.path, half)
    half.chmod(0o755)
    half.replace(folder / "nginx")


@pytest.fixture
def stack(make_stack: Callable[..., Stack], programs: Path) -> Stack:
    made = make_stack(PATH=f"{programs}{os.pathsep}{os.environ['PATH']}")
    made.up()
    return made


def masters_file(stack: Stack) -> int:
    """The pid of Nginx's newest master."""
    return int((stack.state / "run" / "nginx.pid").read_text())


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid)


def executable(pid: int) -> os.stat_result:
    return Path(f"/proc/{pid}/exe").stat()


def test_changed_nginx_takes_over_and_no_request_fails(stack: Stack, programs: Path) -> None:
    kept = stack.pid("nginx")
    with Traffic(stack.url, keeps=waits_for_idle_clients()) as traffic:
        for _ in range(2):
            old = masters_file(stack)
            put(programs)
            done = stack.run("reload")
            assert done.returncode == 0, done.stderr
            new = masters_file(stack)
            assert new != old
            assert os.path.samestat(executable(new), (programs / "nginx").stat())
            wait_for(partial(is_gone, old), "the end of the old master", 60)
    assert traffic.failures == []
    assert traffic.answers > 100
    assert stack.pid("nginx") == kept, "supervisord has not noticed"
    assert stack.entry("nginx")["restarts"] == 0
    assert psutil.Process(masters_file(stack)).ppid() == kept
    stack.down()


def test_restart_by_supervisord_would_fail_requests(stack: Stack) -> None:
    """What the test before could not see, it would not prove."""
    conf = str(stack.state / "conf" / "supervisord.conf")
    command = (sys.executable, "-m", "supervisor.supervisorctl", "-c", conf, "restart", "nginx")
    with Traffic(stack.url) as traffic:
        for _ in range(3):
            subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert traffic.failures


def test_unchanged_nginx_stays(stack: Stack) -> None:
    before = masters_file(stack)
    assert stack.run("reload").returncode == 0
    assert masters_file(stack) == before


def test_nginx_that_does_not_start_is_refused_and_the_old_one_serves(
    stack: Stack, programs: Path
) -> None:
    old, conf = masters_file(stack), (stack.state / "conf" / "nginx.conf").read_text()
    good = programs / "good"
    shutil.copy(programs / "nginx", good)
    # Says its version and that the configuration is good, and then does not serve.
    half = programs / ".nginx"
    half.write_text(f'#!/bin/sh\ncase "$*" in *-V*|*-t*) exec "{good}" "$@";; esac\nexit 1\n')
    half.chmod(0o755)
    half.replace(programs / "nginx")
    with Traffic(stack.url) as traffic:
        done = stack.run("reload")
    assert done.returncode == 1
    assert "does not start beside the Nginx that runs, which goes on" in done.stderr
    assert traffic.failures == []
    assert masters_file(stack) == old
    assert (stack.state / "conf" / "nginx.conf").read_text() == conf
    put(programs)
    assert stack.run("reload").returncode == 0
    assert masters_file(stack) != old


def test_stack_whose_nginx_was_changed_is_healed_and_stops_like_any_other(
    stack: Stack, programs: Path
) -> None:
    put(programs)
    assert stack.run("reload").returncode == 0
    kept = stack.pid("nginx")
    psutil.Process(masters_file(stack)).kill()
    wait_for(lambda: stack.pid("nginx") not in {0, kept}, "another Nginx", 20)
    wait_for(lambda: answers(stack), "service", 20)
    stack.down()


def answers(stack: Stack) -> bool:
    try:
        return stack.get("/health").status_code == 200
    except httpx.HTTPError:
        return False
