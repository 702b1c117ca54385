"""What a master knows of its children: kept across `exec`, shown by `windlass status`."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import msgspec

from app.files import write_whole
from app.telemetry.board import Event

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from pathlib import Path

HANDOVER_VARIABLE = "WINDLASS_HANDOVER"
_MOST_EVENTS = 50


class Child(msgspec.Struct):
    """One worker process.

    Attributes:
        slot: which worker it is; a slot has one child, and two while one replaces the other.
        generation: which start or reload of the master forked it.
        started: wall clock of its fork, seconds since the epoch.
        release: name of the release that it runs.
        state: starting, ready, stopping, blocked (its event loop stands still; it is being killed),
            or standby (alive and not accepting, to be brought back).
        ready_fd: the master's end of the pipe on which it says that it is ready; -1 once closed.
        pulse_fd: the memory in which it shows that it lives; -1 where it has none.
        deadline: monotonic time by which it must have left its state, or None.
        spread: factor of its limits of age and requests, so that not all workers reach theirs at
            once.
        replaces: pid of the worker that it is to replace in the same generation, or 0.
        forked_at: monotonic time of its fork.
        is_late: whether it was not ready in time and has been asked where it stands.
    """

    pid: int
    slot: int
    generation: int
    started: float
    release: str
    state: str = "starting"
    ready_fd: int = -1
    deadline: float | None = None
    pulse_fd: int = -1
    spread: float = 1.0
    replaces: int = 0
    forked_at: float = 0.0
    is_late: bool = False


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


class Launch(msgspec.Struct):
    """What it takes to run a release again just as it ran.

    Attributes:
        argv: absolute path of the executable and its arguments.
        environ: of the process, an entry NAME=VALUE each, as the kernel has them.
        settings: those in force, an entry NAME=VALUE each.
    """

    argv: list[str]
    environ: list[bytes] = []
    settings: list[bytes] = []


class MasterState(msgspec.Struct):
    """All that a master hands to its successor in the same process.

    A release may hand over to one that is older or newer: what one does not know is left out, and
    what one lacks has its default.

    Attributes:
        pid: of the master; a handover to another process is none.
        started: wall clock of the first start, seconds since the epoch.
        generation: how many times the master has loaded its code, from 1.
        release: name of the release that the master runs.
        reload: how the last reload goes or went: checking, under way, succeeded, failed: WHY.
        reloads: how many were begun.
        reload_wanted: whether one was asked for that has not begun.
        slots_before_reload: how many there were when the last reload loaded its code.
        back_wanted: whether the way back was asked for and has not begun.
        current: how the release that runs was started.
        previous: how the one before it was started, for the way back.
        earlier: what `previous` was before the upgrade under way.
        target: how the release that takes over is started; its settings, if any, stand in the
            place of those that it would read.
        returning: whether this handover goes back to a release whose workers still serve.
        orphans: pids of workers of a killed master that serve until this one's are proven.
        metrics_fd: of the memory in which all processes count; -1 where there is none.
        events: what has happened to the workers, the last of it, oldest first.
        recorded: how many events there were.
        counted: how many of them were counted.
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
    back_wanted: bool = False
    current: Launch | None = None
    previous: Launch | None = None
    earlier: Launch | None = None
    target: Launch | None = None
    returning: bool = False
    orphans: list[int] = []
    metrics_fd: int = -1
    events: list[Event] = []
    recorded: int = 0
    counted: int = 0

    def record(self, kind: str, detail: str) -> None:
        """Note that something has happened; see `app.telemetry.board.Event`."""
        self.events.append(Event(time.time(), kind, detail, self.release))
        del self.events[:-_MOST_EVENTS]
        self.recorded += 1

    def uncounted(self) -> list[Event]:
        """The events since this was asked last, as far as they are still known."""
        new = self.events[-(self.recorded - self.counted) :] if self.recorded > self.counted else []
        self.counted = self.recorded
        return new


def write_status(path: Path, state: MasterState) -> None:
    """Write the state where `windlass status` finds it, whole or not at all.

    How releases were started is left out: their settings and environment may hold passwords.
    """
    shown = msgspec.structs.replace(state, current=None, previous=None, earlier=None, target=None)
    write_whole(path, msgspec.json.encode(shown))


def read_status(path: Path) -> MasterState | None:
    """The state that a master wrote last; None where there is none to read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=MasterState)
    except (OSError, msgspec.MsgspecError):
        return None


def set_inheritable(state: MasterState, *, yes: bool) -> None:
    """Have `exec` and programs that are started hand on the descriptors of a state, or not."""
    descriptors = [state.metrics_fd, *(slot.fd for slot in state.slots)]
    for child in state.children:
        descriptors += [child.ready_fd, child.pulse_fd]
    for descriptor in descriptors:
        if descriptor >= 0:
            os.set_inheritable(descriptor, yes)


def entries(mapping: Mapping[str, str]) -> list[bytes]:
    """A mapping as entries NAME=VALUE; `mapping_of` is the way back."""
    return [os.fsencode(f"{name}={text}") for name, text in mapping.items()]


def mapping_of(entries: list[bytes]) -> dict[str, str]:
    """What `entries` was made from."""
    pairs = (os.fsdecode(entry).partition("=") for entry in entries)
    return {name: text for name, _, text in pairs}


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
