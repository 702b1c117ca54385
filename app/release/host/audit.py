"""The audit log of a host: who did what, from where to where, when, why, and how it went.

Lines are only ever appended, and each carries a hash over the one before, so that a line that was
changed or taken out shows. Whoever owns the file could still write it anew from the first line; a
copy elsewhere (`windlass audit ENV --json`) is what guards against that.
"""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from app.release.messages import Audited, AuditEntry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.release.host.site import Site

WENT_BACK = "went back"
"""The result of a way back that has reached its end."""
_FILE = "audit.jsonl"
_TAIL_BYTES = 65536


def append(site: Site, entry: AuditEntry) -> None:
    """Append an entry and see it on the disk; its time and chain are filled in here.

    Raises:
        OSError: it could not be written.
    """
    path = site.record / _FILE
    with site.recording():
        entry.at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        entry.chain = _chain(_last_chain(path), entry)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            # A power cut may have left half a line; it must not swallow this one.
            broken = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, b"\n" * broken + msgspec.json.encode(entry) + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read(site: Site, entries: int) -> Audited:
    """The last entries, and whether the whole log is as it was written."""
    try:
        lines = (site.record / _FILE).read_bytes().splitlines()
    except FileNotFoundError:
        return Audited([], "")
    found: list[AuditEntry] = []
    fault, before = "", ""
    for number, line in enumerate(lines, 1):
        try:
            entry = msgspec.json.decode(line, type=AuditEntry)
        except msgspec.MsgspecError:
            fault = fault or f"line {number} cannot be read"
            continue
        if entry.chain != _chain(before, entry):
            fault = fault or f"line {number} or the one before it was changed"
        before = entry.chain
        found.append(entry)
    return Audited(found[-entries:] if entries else [], fault)


def newest(site: Site) -> Iterator[AuditEntry]:
    """The entries of some days, newest first, without a look at the chain."""
    yield from _newest(site.record / _FILE)


def went_back(site: Site) -> AuditEntry | None:
    """How the last release was taken back, where none was tried or confirmed since."""
    last = next((one for one in newest(site) if one.action in {"switch", "confirm", "back"}), None)
    return last if last is not None and last.result == WENT_BACK else None


def _last_chain(path: Path) -> str:
    return next((entry.chain for entry in _newest(path)), "")


def _newest(path: Path) -> Iterator[AuditEntry]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().splitlines()
    except FileNotFoundError:
        return
    for line in reversed(lines):
        try:
            yield msgspec.json.decode(line, type=AuditEntry)
        except msgspec.MsgspecError:
            continue


def _chain(before: str, entry: AuditEntry) -> str:
    bare = msgspec.to_builtins(msgspec.structs.replace(entry, chain=""))
    if not entry.key:  # lines of before had none, and their hash stays what it is
        del bare["key"]
    return hashlib.sha256(before.encode() + msgspec.json.encode(bare)).hexdigest()
