"""A master with workers of a few lines, for tests that take milliseconds: real forks and sockets.

A release is a folder with a `release.json`; the link `newest` names the one that an upgrade takes.
A worker answers a line of text on its socket: what to do, and then "RELEASE PID". The program that
a master executes is `tests.small_release`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from app.process import state
from tests.small_release import PATIENCE_S, program
from tests.support import ROOT, Background, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from app.process.state import Child, MasterState


@dataclass
class SmallMaster:
    """A master in a process of its own, below a folder.

    Args:
        folder: of the releases and of the sockets.
        launcher: a command before that of the master, such as one that makes a new namespace.
    """

    folder: Path
    launcher: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] = field(init=False)

    def release(self, name: str, **facts: Any) -> Path:  # noqa: ANN401
        """Make a release, without installing it; `facts` are those of `_options` and of `_work`."""
        folder = self.folder / name
        folder.mkdir()
        (folder / "release.json").write_text(json.dumps({"name": name, **facts}))
        return folder

    def install(self, name: str) -> None:
        """Have the next upgrade take a release."""
        new = self.folder / "newest.new"
        new.unlink(missing_ok=True)
        new.symlink_to(self.folder / name)
        new.rename(self.folder / "newest")

    def start(self, name: str = "a", **facts: Any) -> Self:  # noqa: ANN401
        """Start with a release made for it, and wait until every worker is ready."""
        self.release(name, **facts)
        self.install(name)
        self.run(name)
        self.wait_for(lambda: self.ready(name), "ready workers")
        return self

    def run(self, name: str, output: int | None = None) -> Self:
        """Run a release and wait for nothing.

        Args:
            name: of the release.
            output: descriptor of where it writes, the log by default.
        """
        with (self.folder / "log").open("ab") as file:
            self.process = subprocess.Popen(
                (*self.launcher, *program(self.folder / name), "serve"),
                stdout=output or file, stderr=output or file, cwd=ROOT,
            )  # fmt: skip
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)

    def tell(self, number: signal.Signals) -> None:
        """Send the master a signal."""
        os.kill(self.pid, number)

    @property
    def pid(self) -> int:
        """Of the master."""
        return self.process.pid

    @property
    def status(self) -> MasterState:
        """What the master last wrote of itself."""
        found = state.read_status(self.folder / "run" / "master.json")
        assert found is not None, self.log
        return found

    @property
    def log(self) -> str:
        """All that the master and its workers have said."""
        return (self.folder / "log").read_text()

    def children(self, state: str = "ready", release: str = "") -> list[Child]:
        """The workers in a state, of a release or of any, by slot."""
        found = [c for c in self.status.children if c.state == state]
        return sorted(
            (c for c in found if release in {"", c.release}), key=lambda child: child.slot
        )

    def ready(self, release: str = "") -> list[Child]:
        """The ready workers once every slot has one; else nothing."""
        if not (self.folder / "run" / "master.json").exists():
            return []
        found = self.children("ready", release)
        slots = {child.slot for child in found}
        return found if slots and len(slots) == len(self.status.slots) else []

    def wait_for(self, condition: Callable[[], Any], what: str) -> Any:  # noqa: ANN401
        """As `tests.support.wait_for`, with the log when it is in vain."""
        return wait_for(condition, f"{what}\n{self.log}", PATIENCE_S)

    def reload(self, *, number: signal.Signals = signal.SIGHUP) -> str:
        """Upgrade, or with SIGUSR2 go back, and wait for the verdict."""
        before = self.status.reloads
        self.tell(number)

        def verdict() -> str:
            now = self.status
            settled = now.reloads > before and now.reload not in {"checking", "under way"}
            return now.reload if settled else ""

        return str(self.wait_for(verdict, "the verdict"))

    def ask(self, words: str = "who", slot: int = 0, timeout_s: float = PATIENCE_S) -> list[str]:
        """Send a worker a line; returns the words of its answer."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(timeout_s)
            client.connect(str(self.folder / "run" / f"worker-{slot}.sock"))
            client.sendall(f"{words}\n".encode())
            answer = b""
            while part := client.recv(4096):
                answer += part
        return answer.decode().split()


class Questions(Background):
    """Asks a worker without a pause, half of the time slowly; remembers what failed."""

    def __init__(self, master: SmallMaster, *, slots: int = 1) -> None:
        self.answers: list[str] = []
        self.failures: list[str] = []
        self._master = master
        self._slots = slots
        super().__init__(4)

    def run(self, number: int) -> None:
        """Ask, again and again."""
        words = "slow 0.2" if number % 2 else "who"
        while not self.stopping.is_set():
            try:
                answer = self._master.ask(words, slot=number // 2 % self._slots)
            except OSError as error:
                self.failures.append(repr(error))
            else:
                if len(answer) == 2:
                    self.answers.append(answer[0])
                else:
                    self.failures.append(f"answer {answer}")
