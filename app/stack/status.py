"""How the stack is: every process, read from supervisord and from the master."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
import psutil

from app import log
from app.errors import StackError
from app.process import state
from app.stack import groups, redis
from app.stack.supervisor import Supervisor

if TYPE_CHECKING:
    from app.config import Settings
    from app.process.state import MasterState
    from app.stack.layout import Layout


class ProcessStatus(msgspec.Struct):
    """One process of the stack.

    Attributes:
        name: redis, web, web/0 (a worker by its slot), nginx, supervisord.
        state: RUNNING and supervisord's other words; for a worker starting, ready, stopping,
            blocked, standby, waiting for its next start, or serving (web/old, of a killed master).
        uptime_s: seconds since it started.
        restarts: how often it ended unasked since the stack came up.
        release: what it runs, where it runs the service.
        last_exit: how it last ended unasked, or empty.
    """

    name: str
    state: str
    pid: int
    uptime_s: float
    restarts: int
    release: str = ""
    last_exit: str = ""


class StackStatus(msgspec.Struct):
    """The whole stack.

    Attributes:
        running: whether it is up.
        problem: why its processes could not be asked for, or empty.
        release: what the master runs.
        generation: how often the master has loaded its code.
        reload: how the last reload went, or empty.
        ports: on which Nginx listens.
        redis: own or external, and where.
        leftovers: where the stack is down, the processes of each program that outlived it.
        state_dir: folder of logs and data.
    """

    running: bool
    release: str
    generation: int
    reload: str
    environment: str
    addresses: list[str]
    ports: list[int]
    redis: str
    state_dir: str
    processes: list[ProcessStatus]
    leftovers: dict[str, list[int]]
    problem: str = ""


def read(settings: Settings, layout: Layout) -> StackStatus:
    """How the stack is, up or down.

    Args:
        settings: those with which it came up.
        layout: of the stack.
    """
    running = Supervisor(layout.run / "supervisord.sock").is_running()
    serving = master(layout) if running else None
    found, problem = _processes_or_why_not(layout) if running else ([], "")
    return StackStatus(
        running=running,
        release=serving.release if serving else "",
        generation=serving.generation if serving else 0,
        reload=serving.reload if serving else "",
        environment=settings.environment,
        addresses=settings.addresses,
        ports=[*settings.ports, *([settings.tls_port] if settings.has_tls else [])],
        redis=log.mask(redis.address(settings, layout)) if running else "",
        state_dir=str(layout.state),
        processes=found,
        leftovers={} if running else _leftovers(layout),
        problem=problem,
    )


def master(layout: Layout) -> MasterState | None:
    """What the master wrote of itself last; None where it has written nothing."""
    return state.read_status(layout.run / "master.json")


def processes(layout: Layout) -> list[ProcessStatus]:
    """Every process of the running stack.

    Raises:
        StackError: the stack is not running.
    """
    supervisor = Supervisor(layout.run / "supervisord.sock")
    now = time.time()
    programs = supervisor.programs()
    serving = master(layout)
    found = [_program(layout, "supervisord", "RUNNING", supervisor.pid(), now)]
    for program in programs:
        entry = _program(layout, program.name, program.state, program.pid, now)
        found.append(entry)
        if program.name == "web" and serving and serving.pid == program.pid:
            entry.release = serving.release
            found += _workers(serving, now)
    return found


def _processes_or_why_not(layout: Layout) -> tuple[list[ProcessStatus], str]:
    try:
        return processes(layout), ""
    except StackError as error:
        return [], str(error)


def _leftovers(layout: Layout) -> dict[str, list[int]]:
    found = {name: groups.read(layout.run, name) for name in groups.recorded(layout.run)}
    left = {name: groups.members(group) for name, group in found.items() if group}
    return {name: [p.pid for p in members] for name, members in left.items() if members}


def _program(layout: Layout, name: str, word: str, pid: int, now: float) -> ProcessStatus:
    group = groups.read(layout.run, name)
    if group is None or group.pgid != pid:
        return ProcessStatus(name, word, pid, 0.0, 0)
    return ProcessStatus(name, word, pid, round(now - group.started, 1), group.starts - 1)


def _age_s(pid: int, now: float) -> float:
    try:
        return round(now - psutil.Process(pid).create_time(), 1)
    except psutil.NoSuchProcess:
        return 0.0


def _workers(serving: MasterState, now: float) -> list[ProcessStatus]:
    found = [
        ProcessStatus(
            f"web/{child.slot}",
            child.state,
            child.pid,
            round(now - child.started, 1),
            serving.slots[child.slot].restarts,
            child.release,
            serving.slots[child.slot].last_exit,
        )
        for child in sorted(serving.children, key=lambda child: (child.slot, child.generation))
    ]
    orphans = [
        ProcessStatus("web/old", "serving", pid, _age_s(pid, now), 0, last_exit="its master died")
        for pid in serving.orphans
    ]
    # A slot whose worker died again and again has none until its pause is over.
    waiting = [
        ProcessStatus(f"web/{number}", "waiting", 0, 0.0, slot.restarts, "", slot.last_exit)
        for number, slot in enumerate(serving.slots)
        if slot.respawn_at is not None and all(c.slot != number for c in serving.children)
    ]
    return found + orphans + waiting
