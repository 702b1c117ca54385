"""A site: one whole stack in a temporary folder, on free ports of 127.0.0.1.

The stack is a child of this process, and the kernel tells it to stop when this process dies, so it
never outlives the command. Its release is behind the link `profile`, as on a server.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from app.prctl import die_with_parent
from app.process import state
from benchmarks.chaos import releases
from benchmarks.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from app.process.state import Child, MasterState

COMMAND_TIMEOUT_S = 90.0
UP_TIMEOUT_S = 60.0
DOWN_TIMEOUT_S = 60.0
WORKERS = 2


class SiteError(Exception):
    """A release that ought to serve does not; the message has what it said."""


@contextmanager
def site(*changes: releases.Change, **settings: str) -> Iterator[Site]:
    """A stack that serves, for the time of the block; gone with all that it wrote afterwards.

    Args:
        changes: of its good release.
        settings: environment variables of the stack, beside its ports.

    Raises:
        SiteError: it does not come up, which is no lack of this machine.
    """
    folder = Path(tempfile.mkdtemp(prefix="windlass-chaos-"))
    made = Site(folder, settings, changes)
    try:
        made.up()
        yield made
    finally:
        made.down()
        shutil.rmtree(folder, ignore_errors=True)


class Site:
    """One stack and what can be done to it.

    Args:
        folder: for all that it writes.
        settings: environment variables of the stack, beside its ports.
        changes: of its good release.
    """

    def __init__(
        self, folder: Path, settings: dict[str, str], changes: Sequence[releases.Change]
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.file = folder / "settings.env"
        self.profile = folder / "profile"
        self.settings = {
            "STATE_DIR": str(folder / "state"), "HOST": "127.0.0.1", "PORT": str(self.port),
            "PLAN_PORT": "", "WORKERS": str(WORKERS), "REDIS_MANAGED": "yes",
            "WINDLASS_ENV_FILE": str(self.file), "WINDLASS_PROFILE": str(self.profile),
        } | settings  # fmt: skip
        self.state = Path(self.settings["STATE_DIR"])
        self._process: subprocess.Popen[bytes] | None = None
        self._top: psutil.Process | None = None
        self.configure()
        self.good = self.make("good", *changes)
        self.install(self.good)

    # ---- releases and settings

    def make(self, name: str, *changes: releases.Change) -> Path:
        """Make a release."""
        return releases.make(self.folder / "releases" / name, *changes)

    def install(self, release: Path) -> None:
        """Have the next upgrade take a release."""
        new = self.folder / "profile.new"
        new.symlink_to(release)
        new.rename(self.profile)

    def configure(self, **settings: str) -> None:
        """Write the file of settings that a reload reads anew."""
        self.file.write_text("".join(f"{name}={text}\n" for name, text in settings.items()))

    # ---- the stack

    def up(self) -> None:
        """Start it and wait until it serves and every worker is ready."""
        with (self.folder / "up.log").open("wb") as output:
            self._process = subprocess.Popen(
                self._command("up"), env=self._environ(), cwd=self.folder, stdout=output,
                stderr=output, stdin=subprocess.DEVNULL,
                preexec_fn=lambda: die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - no thread here
            )  # fmt: skip
        process = self._process
        try:
            wait_for(
                lambda: process.poll() is not None or self._is_whole(), UP_TIMEOUT_S, "service"
            )
        except TimeoutError as error:
            raise SiteError(f"the stack does not come up: {self._said()}") from error
        if process.poll() is not None:
            raise SiteError(f"the stack does not come up: {self._said()}")
        self._top = psutil.Process(process.pid)

    def down(self) -> None:
        """Stop it; whatever is left after its time is killed, by pid."""
        if self._process is None:
            return
        top = [psutil.Process(self._process.pid)] if self._process.poll() is None else []
        family = [*top, *(child for one in top for child in one.children(recursive=True))]
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(DOWN_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _, left = psutil.wait_procs(family, timeout=5)
        for process in left:
            process.kill()
        self._process = None

    def windlass(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `windlass ARGUMENTS` of the good release to its end."""
        return subprocess.run(
            self._command(*arguments), env=self._environ(), cwd=self.folder, capture_output=True,
            text=True, timeout=COMMAND_TIMEOUT_S, check=False,
        )  # fmt: skip

    def supervisorctl(self, *arguments: str) -> None:
        """Run `supervisorctl ARGUMENTS`."""
        conf = str(self.state / "conf" / "supervisord.conf")
        subprocess.run(
            (sys.executable, "-m", "supervisor.supervisorctl", "-c", conf, *arguments),
            capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False,
        )  # fmt: skip

    def _command(self, *arguments: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "app", *arguments)

    def _environ(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.good), **self.settings}

    def _is_whole(self) -> bool:
        if len(self.ready()) < WORKERS:
            return False
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as client:
                client.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                return client.recv(64).startswith(b"HTTP/1.1 200 ")
        except OSError:
            return False

    def _said(self) -> str:
        return (self.folder / "up.log").read_text(errors="replace")[-1500:].strip()

    # ---- what is known of it

    @property
    def master(self) -> MasterState:
        """What the master last wrote of itself.

        Raises:
            LookupError: it has written nothing.
        """
        found = state.read_status(self._run_dir / "master.json")
        if found is None:
            raise LookupError("the master has written no status")
        return found

    @property
    def _run_dir(self) -> Path:
        return self.state / "run"

    @property
    def sockets(self) -> list[str]:
        """The workers' own sockets, by slot."""
        return [str(self._run_dir / f"worker-{slot}.sock") for slot in range(WORKERS)]

    def ready(self) -> dict[int, Child]:
        """The ready workers by slot, the newest of each."""
        return {c.slot: c for c in sorted(self._children(), key=lambda c: c.forked_at)
                if c.state == "ready"}  # fmt: skip

    def _children(self) -> list[Child]:
        try:
            return self.master.children
        except LookupError:
            return []

    def log(self, program: str) -> str:
        """All that a program has logged."""
        return (self.state / "log" / f"{program}.log").read_text(errors="replace")

    def processes(self) -> list[psutil.Process]:
        """Every process of the stack."""
        return [self._top, *self._top.children(recursive=True)] if self._top else []


def wait_for(condition: Callable[[], object], timeout_s: float, what: str) -> float:
    """Wait until something holds; returns how long it took, in seconds.

    Raises:
        TimeoutError: it does not in time.
    """
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > timeout_s:
            raise TimeoutError(f"waited {timeout_s:g} s in vain for {what}")
        time.sleep(0.01)
    return time.monotonic() - begun
