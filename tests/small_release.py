"""The program of `tests.small_master`: a master of a release, or the check of one.

Run as `python -m tests.small_release FOLDER serve`, as a master executes its releases: again and
again, so that it imports nothing of what a test needs besides.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import uvloop

from app import log
from app.process import Master, MasterOptions, Recycling, recycling, state, upgrade, worker
from app.process.duty import Orders, Wish, beating

if TYPE_CHECKING:
    from app.process import WorkerContext

PATIENCE_S = 30.0
"""How long a test waits for what takes milliseconds on a machine that is not loaded."""


def program(folder: Path) -> tuple[str, ...]:
    """The program that is the master of a release; `serve` or `check` follows."""
    return (sys.executable, "-m", "tests.small_release", str(folder))


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
    worker.ORPHAN_SERVES_S = facts.get("orphan_serves_s", 0)
    (folder.parent / "run").mkdir(exist_ok=True)
    left = [psutil.Process(pid) for pid in facts.get("predecessors", ()) if psutil.pid_exists(pid)]
    sys.exit(Master(_options(folder, facts), inherited, left).run())


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
        case ["print"]:
            print("words", flush=True)  # noqa: T201 - as an application may
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
