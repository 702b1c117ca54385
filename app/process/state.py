"""What a master knows of its children: kept across `exec`, shown by `windlass status`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from app.files import write_whole

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path

HANDOVER_VARIABLE = "WINDLASS_HANDOVER"


class Child(msgspec.Struct):
    """One worker process.

    Attributes:
        slot: which worker it is; a slot has one child, and two while one replaces the other.
        generation: which start or reload of the master forked it.
        started: wall clock of its fork, seconds since the epoch.
        release: name of the release that it runs.
        state: starting, ready, or stopping.
        ready_fd: the master's end of the pipe on which it says that it is ready; -1 once closed.
        deadline: monotonic time by which it must have left its state, or None.
    """

    pid: int
    slot: int
    generation: int
    started: float
    release: str
    state: str = "starting"
    ready_fd: int = -1
    deadline: float | None = None


class Slot(msgspec.Struct):
    """What outlives the children of one slot.

    Attributes:
        fd: descriptor of the slot's listening socket.
        path: of that socket.
        restarts: how often a child of the slot ended unasked.
        last_exit: how the last of those ended, for people.
        failures: how many in a row ended before they had served for long.
        respawn_at: monotonic time of the next fork, or None.
    """

    fd: int
    path: str
    restarts: int = 0
    last_exit: str = ""
    failures: int = 0
    respawn_at: float | None = None


class MasterState(msgspec.Struct):
    """All that a master hands to its successor in the same process.

    Attributes:
        pid: of the master; a handover to another process is none.
        started: wall clock of the first start, seconds since the epoch.
        generation: how many times the master has loaded its code, from 1.
        release: name of the release that the master runs.
        reload: how the last reload goes or went: checking, under way, succeeded, failed: WHY.
        reloads: how many were begun.
        reload_wanted: whether one was asked for that has not begun.
        slots_before_reload: how many there were when the last reload loaded its code.
    """

    pid: int
    started: float
    generation: int
    release: str
    slots: list[Slot]
    children: list[Child]
    reload: str = ""
    reloads: int = 0
    reload_wanted: bool = False
    slots_before_reload: int = 0


def write_status(path: Path, state: MasterState) -> None:
    """Write the state where `windlass status` finds it, whole or not at all."""
    write_whole(path, msgspec.json.encode(state))


def read_status(path: Path) -> MasterState | None:
    """The state that a master wrote last; None where there is none to read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=MasterState)
    except (OSError, msgspec.MsgspecError):
        return None


def to_environment(state: MasterState) -> dict[str, str]:
    """The environment variable by which a master hands over to the code that replaces it.

    The state itself goes by a file in memory, which the code inherits: with many workers it would
    be too long for a variable.
    """
    descriptor = os.memfd_create("windlass-handover", 0)
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(msgspec.json.encode(state))
    return {HANDOVER_VARIABLE: str(descriptor)}


def from_environment(environ: MutableMapping[str, str]) -> MasterState | None:
    """What the master before this one handed over in the same process, if it did.

    Takes the variable out of `environ`, so that no child inherits it.
    """
    text = environ.pop(HANDOVER_VARIABLE, None)
    if text is None:
        return None
    with os.fdopen(int(text), "rb") as file:
        file.seek(0)
        state = msgspec.json.decode(file.read(), type=MasterState)
    return state if state.pid == os.getpid() else None
