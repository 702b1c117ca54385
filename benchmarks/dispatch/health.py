"""Part 6: what a worker's other requests wait while it computes large plans.

One real worker (`windlass serve`, with the settings that it has by default) answers `GET /health`
at a fixed rate, now idle and now while several clients ask it for large hard plans, in turns. It is
asked on its own socket, past Nginx, so that it is this one worker that is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import psutil

from app import config
from app.prctl import die_with_parent
from app.stack import layout
from benchmarks.dispatch import families
from benchmarks.dispatch.session import UnmeasuredError
from benchmarks.machine import ROOT
from benchmarks.open_loop import Client, Sample, at_rate, request_of
from benchmarks.pairs import Summary, summarise
from benchmarks.report import Section, Table, duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.dispatch.families import Problem
    from benchmarks.dispatch.session import Session

WANTED_S = 0.020
_RATE_HZ = 200.0
_CLIENTS = 4
_FAMILIES = ("few odd plants", "near costs", "Pmin = Pmax", "parity, one way out", "no plan")
_START_TIMEOUT_S = 30.0
_END_TIMEOUT_S = 30.0
_EXPECTED = frozenset({200, 422})  # a plan, or that there is none


@dataclass(frozen=True, slots=True)
class Phase:
    """Requests while the worker was idle or busy.

    Attributes:
        latency: from the intended time of sending to the end of the answer.
        lateness: of the client itself, part of the latency.
        plans: how many plans were answered meanwhile.
    """

    latency: Summary
    lateness: Summary
    plans: int


def measure(session: Session) -> Section:
    """Start a worker, measure it idle and busy in turns, and stop it."""
    requests = [_plan_request(problem) for problem in _problems(session)]
    with _worker() as path:
        idle, busy, plans = asyncio.run(_measure(path, requests, session))
    phases = {"idle": _phase(idle, 0), "busy": _phase(busy, plans)}
    return _section(phases, session)


def payload_of(problem: Problem) -> bytes:
    """The problem as the body of `POST /productionplan`."""
    fuels = problem.fuels
    return msgspec.json.encode({
        "load": float(problem.load),
        "fuels": {
            "gas(euro/MWh)": float(fuels.gas),
            "kerosine(euro/MWh)": float(fuels.kerosine),
            "co2(euro/ton)": float(fuels.co2),
            "wind(%)": float(fuels.wind),
        },
        "powerplants": [
            {"name": p.name, "type": p.kind.value, "efficiency": float(p.efficiency),
             "pmin": float(p.pmin), "pmax": float(p.pmax)}
            for p in problem.plants
        ],
    })  # fmt: skip


def _problems(session: Session) -> Iterator[Problem]:
    for number, family in enumerate(_FAMILIES):
        for plants in session.effort.health_plants:
            yield families.draw(family, plants, session.seed_of(number))


def _plan_request(problem: Problem) -> bytes:
    return request_of("POST", "/productionplan", payload_of(problem))


@contextmanager
def _worker() -> Iterator[Path]:
    """One worker under its master, in a folder of its own; yields the path of its socket."""
    with tempfile.TemporaryDirectory(prefix="windlass-bench-") as folder:
        settings = {"STATE_DIR": str(Path(folder) / "state"), "WORKERS": "1",
                    "REDIS_MANAGED": "yes"}  # fmt: skip
        environ = {name: text for name, text in os.environ.items() if name not in config.VARIABLES}
        environ |= settings
        loaded = config.load(config.Sources(settings, None))
        path = layout.find(loaded).run / "worker-0.sock"
        log = Path(folder) / "serve.log"
        with log.open("wb") as output:
            master = subprocess.Popen(
                (sys.executable, "-m", "app", "serve"),
                stdout=output, stderr=subprocess.STDOUT, env=environ, cwd=ROOT,
                preexec_fn=partial(die_with_parent, signal.SIGTERM),  # noqa: PLW1509 - no thread
            )  # fmt: skip
        try:
            _wait_until_ready(master, path, log)
            yield path
        finally:
            _end(master)


def _wait_until_ready(master: subprocess.Popen[bytes], path: Path, log: Path) -> None:
    async def ask() -> int:
        client = Client(partial(asyncio.open_unix_connection, path))
        status, _ = await client.ask(request_of("GET", "/health"))
        await client.close()
        return status

    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and master.poll() is None:
        with contextlib.suppress(OSError, EOFError, TimeoutError):
            if asyncio.run(asyncio.wait_for(ask(), 1)) == 200:
                return
        time.sleep(0.05)
    raise UnmeasuredError(
        f"The worker did not serve within {_START_TIMEOUT_S:g} s; it said:\n{log.read_text()}"
    )


def _end(master: subprocess.Popen[bytes]) -> None:
    master.terminate()
    try:
        master.wait(_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        workers = psutil.Process(master.pid).children()
        master.kill()
        for worker in workers:  # they would go on without it
            worker.kill()
        master.wait()


async def _measure(
    path: Path, requests: list[bytes], session: Session
) -> tuple[list[Sample], list[Sample], int]:
    client = Client(partial(asyncio.open_unix_connection, path))
    probe = request_of("GET", "/health")
    seconds, rounds = session.effort.health_round_s, session.effort.health_rounds
    waiting = cycle(requests)
    await client.ask(next(waiting))  # starts the process that computes plans
    await at_rate(client, probe, _RATE_HZ, 0.5)
    idle: list[Sample] = []
    busy: list[Sample] = []
    plans = 0
    with session.progress.steps("health", 2 * rounds) as step:
        for _ in range(rounds):
            idle += await at_rate(client, probe, _RATE_HZ, seconds)
            step()
            over = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                asking = [
                    group.create_task(_ask_for_plans(client, waiting, over))
                    for _ in range(_CLIENTS)
                ]
                busy += await at_rate(client, probe, _RATE_HZ, seconds)
                over.set()
            plans += sum(task.result() for task in asking)
            step()
    await client.close()
    return idle, busy, plans


async def _ask_for_plans(client: Client, requests: Iterator[bytes], over: asyncio.Event) -> int:
    """Ask for one plan after the other until it is over; return how many were answered."""
    answered = 0
    while not over.is_set():
        status, body = await client.ask(next(requests))
        if status not in _EXPECTED:
            raise UnmeasuredError(f"A plan was answered {status}: {body[:500]!r}")
        answered += 1
    return answered


def _phase(samples: list[Sample], plans: int) -> Phase:
    if wrong := [sample.status for sample in samples if sample.status != 200]:
        raise UnmeasuredError(f"GET /health was answered {wrong[0]}, {len(wrong)} times")
    latency = summarise([sample.latency_s for sample in samples])
    return Phase(latency, summarise([sample.lateness_s for sample in samples]), plans)


def _section(phases: dict[str, Phase], session: Session) -> Section:
    idle, busy = phases["idle"].latency.p99_s, phases["busy"].latency.p99_s
    sizes = ", ".join(f"{plants:,}" for plants in session.effort.health_plants)
    notes = [
        (
            f"One worker with its default settings answered GET /health {_RATE_HZ:g} times a "
            f"second, {session.effort.health_rounds} times {session.effort.health_round_s:g} s "
            f"idle and as long while {_CLIENTS} clients asked it for plans of {sizes} plants, in "
            "turns."
        ),
        (
            "Latency counts from when a request was meant to be sent, so that a stall cannot hide; "
            "the client's own lateness is part of it."
        ),
        (
            f"p99 while it computes: {duration(busy)}, idle: {duration(idle)}; wanted: at most "
            f"{duration(WANTED_S)}, {'reached' if busy <= WANTED_S else 'not reached'}."
        ),
    ]
    rows = [
        (name, f"{phase.latency.count:,}", duration(phase.latency.median_s),
         duration(phase.latency.p99_s), duration(phase.latency.slowest_s),
         duration(phase.lateness.p99_s), f"{phase.plans:,}")
        for name, phase in phases.items()
    ]  # fmt: skip
    columns = ("worker", "requests", "median", "p99", "slowest", "client late: p99", "plans")
    data = {"wanted_s": WANTED_S, "rate_hz": _RATE_HZ, "phases": phases}
    return Section("health", "Health while plans are computed", notes, [Table(columns, rows)], data)
