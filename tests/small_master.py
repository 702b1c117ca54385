"""A master with workers of a few lines, for tests that take milliseconds: real forks and sockets.

A release is a folder with a `release.json`; the link `newest` names the one that an upgrade takes.
A worker answers a line of text on its socket: what to do, and then "RELEASE PID". Run as
`python -m tests.small_master FOLDER serve`, as a master executes its releases.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import uvloop

from app import log
from app.process import Master, MasterOptions, Recycling, recycling, state, upgrade
from app.process.duty import Orders, Wish, beating
from tests.support import ROOT, Background, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.process import WorkerContext
    from app.process.state import Child, MasterState

PATIENCE_S = 30.0
"""How long a test waits for what takes milliseconds on a machine that is not loaded."""


# ---- what a test drives


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
        with (self.folder / "log").open("wb") as output:
            self.process = subprocess.Popen(
                (*self.launcher, *program(self.folder / name), "serve"),
                stdout=output, stderr=output, cwd=ROOT,
            )  # fmt: skip
        self.wait_for(lambda: self.ready(name), "ready workers")
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


# ---- what runs in the master's process and its workers


def program(folder: Path) -> tuple[str, ...]:
    """The program that is the master of a release; `serve` or `check` follows."""
    return (sys.executable, "-m", "tests.small_master", str(folder))


def main(folder: Path, role: str) -> None:
    """Be the master of a release, or check it."""
    facts = json.loads((folder / "release.json").read_text())
    if role == "check":
        time.sleep(facts.get("check_s", 0))
        sys.exit(facts.get("check", 0))
    inherited = state.from_environment(os.environ)
    log.configure(as_json=False, level="info")
    if "master" in facts:
        error = RuntimeError(facts["master"])
        if inherited is not None:
            upgrade.return_after_failed_start(inherited, error)
        raise error
    recycling.LOOK_S = recycling.MEMORY_LOOK_S = 0.02
    recycling.RETRY_S = 0.2
    (folder.parent / "run").mkdir(exist_ok=True)
    sys.exit(Master(_options(folder, facts), inherited).run())


def _options(folder: Path, facts: dict[str, Any]) -> MasterOptions:
    def newest() -> tuple[str, ...]:
        return program((folder.parent / "newest").resolve(strict=True))

    return MasterOptions(
        run_dir=folder.parent / "run",
        workers=facts.get("workers", 1),
        release=facts["name"],
        run_worker=lambda context: _work(context, facts),
        command=program(folder),
        newest=newest,
        start_timeout_s=facts.get("start_timeout_s", PATIENCE_S),
        drain_timeout_s=facts.get("drain_timeout_s", PATIENCE_S),
        environ=dict(os.environ),
        heartbeat_timeout_s=facts.get("heartbeat_timeout_s", 0),
        probation_s=facts.get("probation_s", 0),
        standby_s=facts.get("standby_s", 0),
        recycling=Recycling(**facts.get("recycling", {})),
    )


def _work(context: WorkerContext, facts: dict[str, Any]) -> None:
    fault = facts.get("fault", "")
    if facts.get("fault_of_slot") == context.slot:
        fault = "hangs"
    if (Path(context.listeners[0].getsockname()).parent / "fault").exists():
        fault = "dies"
    if fault == "dies":
        sys.exit(7)
    if fault == "hangs":
        time.sleep(600)
    # As the product does; asyncio's own loop loses a connection that it accepts as it closes.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(context, facts, fault))


async def _serve(context: WorkerContext, facts: dict[str, Any], fault: str) -> None:
    orders = Orders()
    served = 0
    under_way: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        task = asyncio.current_task()
        assert task is not None
        under_way.add(task)
        words = (await reader.readline()).decode().split()
        served += 1
        if words:
            await _do(words)
        with contextlib.suppress(OSError):
            writer.write(f"{facts['name']} {os.getpid()}".encode())
            await writer.drain()
            writer.close()
        under_way.discard(task)

    await asyncio.sleep(facts.get("start_s", 0))
    orders.listen()
    with beating(context, lambda: served):
        context.notify_ready()
        if fault == "dies when ready":
            sys.exit(8)
        while orders.wish is not Wish.STOP:
            listener = context.listeners[0].dup()
            server = await asyncio.start_unix_server(answer, sock=listener)
            context.pulse.accept(accepting=True)
            await orders.other_than(Wish.SERVE)
            context.pulse.accept(accepting=False)
            server.close()
            await orders.other_than(Wish.STAND_BY)
        for _ in range(10):  # until what was accepted last is under way
            await asyncio.sleep(0)
        if under_way:
            await asyncio.wait(under_way, timeout=context.drain_timeout_s)


async def _do(words: list[str]) -> None:
    match words:
        case ["block"]:
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            time.sleep(600)  # noqa: ASYNC251 - it is what the test is about
        case ["spin"]:
            re.match(r"(a+)+$", "a" * 64 + "b")
        case ["busy", seconds]:
            until = time.monotonic() + float(seconds)
            while time.monotonic() < until:
                sum(range(1000))
                await asyncio.sleep(0)
        case ["slow", seconds]:
            await asyncio.sleep(float(seconds))
        case ["orphan"]:
            _leave_an_orphan()
        case ["grow", megabytes]:
            _KEPT.append(b"x" * (int(megabytes) << 20))


def _leave_an_orphan() -> None:
    pid = os.fork()
    if pid == 0:
        if os.fork() == 0:
            time.sleep(0.2)
        os._exit(0)
    os.waitpid(pid, 0)


_KEPT: list[bytes] = []

if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
