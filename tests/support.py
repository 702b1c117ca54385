"""A whole stack for a test: real supervisord, Nginx, workers and Redis, on ports of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
import msgspec
import psutil
import pytest

from app import config
from app.config import Sources
from app.stack import layout, lifecycle
from app.stack import status as stack_status
from benchmarks.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
GIT = shutil.which("git") or ""
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
COMMAND_TIMEOUT_S = 100  # shorter than the limit of a test, which knows no command


def git(folder: Path, *words: str) -> str:
    """What git says in a folder, as an author of its own."""
    done = subprocess.run(
        (GIT, "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(folder), *words),
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    return done.stdout.strip()


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = 10) -> Any:  # noqa: ANN401
    """Return the first true value of a condition; fail when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    pytest.fail(f"waited {timeout_s} s in vain for: {what}")


class Background:
    """Threads that do what `run` says for as long as a block takes.

    Args:
        threads: how many.
    """

    def __init__(self, threads: int) -> None:
        self.stopping = threading.Event()
        self._threads = [threading.Thread(target=self.run, args=(n,)) for n in range(threads)]

    def run(self, number: int) -> None:
        """What a thread does until `stopping` is set.

        Args:
            number: of the thread, from 0.
        """
        raise NotImplementedError

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self._threads:
            thread.join()


@dataclass
class Stack:
    """One stack and the command that drives it."""

    state: Path
    settings: dict[str, str] = field(default_factory=dict)
    root: Path = ROOT

    def __post_init__(self) -> None:
        self.port, self.plan_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = {
            "STATE_DIR": str(self.state),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "PLAN_PORT": str(self.plan_port),
            "WORKERS": "2",
            "REDIS_MANAGED": "yes",
            **self.settings,
        }

    @property
    def environ(self) -> dict[str, str]:
        """The environment of the command."""
        inherited = {
            "PYTHONPATH": os.pathsep.join([str(self.root), os.environ.get("PYTHONPATH", "")])
        }
        return {**os.environ, **inherited, **self.settings}

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run `windlass ARGUMENTS` to its end."""
        return subprocess.run(
            (sys.executable, "-m", "app", *arguments),
            env=self.environ | settings,
            cwd=self.state.parent,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )

    def up(self) -> None:
        """Start the stack; fail with its words when it does not come up."""
        done = self.run("up", "-d")
        assert done.returncode == 0, done.stderr

    def down(self) -> None:
        """Stop the stack and see that nothing of it is left."""
        before = self.processes() if self.is_up() else []
        done = self.run("down")
        assert done.returncode == 0, done.stderr
        _, alive = psutil.wait_procs(before, timeout=5)
        assert not alive

    def is_up(self) -> bool:
        """Whether it runs, and says how it is."""
        status = self.status()
        return status["running"] and not status["problem"]

    def is_gone(self) -> bool:
        """Whether it neither runs nor has left a process behind."""
        status = self.status()
        return not status["running"] and not status["leftovers"]

    def status(self) -> dict[str, Any]:
        """What `windlass status --json` prints, without a process for each time it is asked."""
        of_test = Sources(self.environ, file if (file := ROOT / ".env").is_file() else None)
        folders = layout.find(config.load(of_test, lenient=True))
        kept = lifecycle.kept_overrides(folders)
        of_stack = of_test if kept is None else Sources(kept, of_test.env_file)
        found = stack_status.read(config.load(of_stack, lenient=True), folders)
        as_json: dict[str, Any] = json.loads(msgspec.json.encode(found))
        return as_json

    def pid(self, name: str) -> int:
        """The process id of one of the stack's processes."""
        return int(self.entry(name)["pid"])

    def entry(self, name: str) -> dict[str, Any]:
        """What the status says of one process."""
        return next(p for p in self.status()["processes"] if p["name"] == name)

    def processes(self) -> list[psutil.Process]:
        """Every process of the stack, from supervisord down."""
        top = psutil.Process(self.pid("supervisord"))
        return [top, *top.children(recursive=True)]

    def get(self, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401
        """GET through Nginx."""
        return httpx.get(self.url + path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401
        """POST through Nginx."""
        return httpx.post(self.url + path, **options)

    def counter(self) -> int:
        """View the page and read the counter that it shows."""
        page = self.get("/", headers=HTML)
        assert page.status_code == 200, page.text
        return int(page.text.split("Counter: ")[1].split("<")[0])

    def log(self, program: str) -> str:
        """All that a program has logged."""
        return (self.state / "log" / f"{program}.log").read_text()


def stack_with_file(make_stack: Callable[..., Stack], text: str, *own: str) -> tuple[Stack, Path]:
    """A stack whose settings are in a file that the test may change; `own` are left to the file."""
    stack = make_stack()
    file = stack.state.parent / "settings.env"
    file.write_text(text)
    for name in own:
        del stack.settings[name]
    stack.settings["WINDLASS_ENV_FILE"] = str(file)
    return stack, file
