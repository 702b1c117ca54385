"""Where the board finds what the stack's files tell: the master's state, the record of releases."""

from __future__ import annotations

import os
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from app.process import state
from app.telemetry.board import Deployment, Release, Worker
from app.telemetry.station import CrewSeen

if TYPE_CHECKING:
    from app.identity import Identity
    from app.process.state import MasterState
    from app.stack.layout import Layout

_MOST_DEPLOYMENTS = 20
_TAIL_BYTES = 65536
_TOLD = frozenset({"switch", "confirm", "back", "lock", "unlock", "maintenance"})


class _Entry(msgspec.Struct):
    """A line of the audit log of a host; see `app.release.messages.AuditEntry`."""

    at: str
    action: str
    by: str
    origin: str = ""
    path: str = ""
    reason: str = ""
    result: str = ""


class _ReleaseFile(msgspec.Struct):
    version: str
    commit: str


class StackSources:
    """The sources of a stack's board.

    Args:
        layout: of the stack.
        identity: of the release that this process runs.
    """

    def __init__(self, layout: Layout, identity: Identity) -> None:
        self._status = layout.run / "master.json"
        # A host that releases are deployed to has its record beside the state folder.
        self._audit = layout.state.parent / "record" / "audit.jsonl"
        self._identity = identity

    def crew(self) -> CrewSeen | None:
        """What the master wrote of itself last; None where it has written nothing."""
        found = state.read_status(self._status)
        if found is None:
            return None
        is_ours = found.release == self._identity.release
        release = Release(
            found.release,
            self._identity.version if is_ours else "",
            self._identity.commit if is_ours else "",
            found.generation,
            found.reload,
        )
        return CrewSeen(
            found.started, found.pid, release, _workers(found), found.events, len(found.orphans)
        )

    def deployments(self) -> list[Deployment]:
        """The last entries of the audit log, newest first; none where this host has none."""
        try:
            with self._audit.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _TAIL_BYTES))
                lines = file.read().splitlines()
        except OSError:  # this host has none, or it is not for us to read
            return []
        found: list[Deployment] = []
        for line in reversed(lines):
            if len(found) == _MOST_DEPLOYMENTS:
                break
            try:
                entry = msgspec.json.decode(line, type=_Entry)
            except msgspec.MsgspecError:  # the first of the tail may be half a line
                continue
            if entry.action in _TOLD:
                found.append(_deployment(entry))
        return found


def _deployment(entry: _Entry) -> Deployment:
    names = _release_name(entry.path), _release_name(entry.origin)
    return Deployment(entry.at, entry.action, entry.by, *names, entry.reason, entry.result)


@lru_cache(maxsize=256)
def _release_name(path: str) -> str:
    """The name of a release by its store path; the path's own name where it is gone."""
    if not path:
        return ""
    try:
        built = msgspec.json.decode(Path(path, "release.json").read_bytes(), type=_ReleaseFile)
    except (OSError, msgspec.MsgspecError):
        return Path(path).name
    return f"{built.version}-{built.commit[:7]}"


def _workers(found: MasterState) -> list[Worker]:
    now = time.time()
    workers = [
        Worker(
            child.slot, child.state, child.pid, child.started, round(now - child.started, 1),
            child.release, "", "", found.slots[child.slot].restarts,
            found.slots[child.slot].last_exit,
        )
        for child in sorted(found.children, key=lambda child: (child.slot, child.started))
    ]  # fmt: skip
    waiting = [
        Worker(number, "waiting", 0, None, 0.0, "", "", "", slot.restarts, slot.last_exit)
        for number, slot in enumerate(found.slots)
        if slot.respawn_at is not None and all(c.slot != number for c in found.children)
    ]
    return sorted([*workers, *waiting], key=lambda worker: worker.slot)
