"""The memory in which all processes of a service count, and which outlives each of them.

One file in memory, made by the first master and handed on by `exec`, so that no counter goes back
when a worker is replaced or new code is loaded. It is never a file on a disk: the kernel may hold
up whoever writes to a mapped page of those while it writes the page back.

::

    header    what this is; a number that is odd while the master folds
    history   a ring of samples of the last hour
    dead      what processes that have ended had counted
    region 1  of one process each; only that process writes here
    ...

A process writes each count where it stays: one that is killed loses nothing of what it had counted.
The master alone, which has reaped it, adds its counters to those of the dead and frees its region.
Entries say what they are, so that processes of different releases can share the memory.

An entry: its bytes in all and the bytes of its key (32 bits each), the key in JSON padded to eight
bytes, then its values, doubles. A counter or gauge has one; a histogram has one for each bucket,
the last without an upper bound, and then the sum.
"""

from __future__ import annotations

import mmap
import os
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import msgspec

from app.telemetry.catalogue import GAUGE, HISTOGRAM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.telemetry.catalogue import Metric

_MAGIC = 0x57494E444C415331
"""Changes with the layout: memory of another one is not taken over."""
_HEADER_BYTES = 4096
_SEQUENCE = 1
HISTORY_BYTES = 96 * 1024
_REGIONS_AT = _HEADER_BYTES + HISTORY_BYTES
REGION_BYTES = 256 * 1024
REGIONS = 512
_BYTES = _REGIONS_AT + REGIONS * REGION_BYTES
ORIGIN = "origin"
_PID, _USED = 0, 1
_FIRST_ENTRY = 16
_ENTRY = struct.Struct("=II")
_DEAD = 0
_MOST_TRIES = 50
_OF_THE_LIVING = frozenset({GAUGE, ORIGIN})


class Key(msgspec.Struct, frozen=True, array_like=True):
    """What an entry is.

    Attributes:
        name: of the metric.
        kind: as in `app.telemetry.catalogue`; "origin" for the entry that says whose region it is.
        labels: pairs of a name and a value.
        bounds: of a histogram's buckets.
    """

    name: str
    kind: str
    labels: tuple[tuple[str, str], ...] = ()
    bounds: tuple[float, ...] = ()


class Origin(msgspec.Struct, frozen=True):
    """Whose region it is.

    Attributes:
        role: master or worker.
        slot: of a worker.
        started: wall clock, seconds since the epoch.
    """

    role: str
    slot: int
    pid: int
    started: float
    version: str
    commit: str
    release: str


class Part(msgspec.Struct):
    """What one process has counted.

    Attributes:
        origin: None for those that have ended, all together.
        values: of each entry.
    """

    origin: Origin | None
    values: dict[Key, list[float]]


class Region:
    """Where one process counts.

    Args:
        memory: all of it.
        number: of the region.
    """

    def __init__(self, memory: Memory, number: int) -> None:
        self.memory = memory
        self.number = number
        start = _REGIONS_AT + number * REGION_BYTES
        self._bytes = memory.view[start : start + REGION_BYTES]
        self._words = self._bytes[:_FIRST_ENTRY].cast("Q")
        self._known: dict[Key, memoryview[float]] = {}

    @property
    def pid(self) -> int:
        """Of the process whose it is; 0: nobody's."""
        return self._words[_PID]

    def assign(self, pid: int) -> None:
        """Say whose it is."""
        self._words[_PID] = pid

    def clear(self) -> None:
        """Make it nobody's."""
        self._words[_USED] = self._words[_PID] = 0
        self._known.clear()

    def sign(self, origin: Origin) -> None:
        """Say who counts here, in full."""
        pairs = [(name, str(value)) for name, value in msgspec.structs.asdict(origin).items()]
        self.values(Key(ORIGIN, ORIGIN, tuple(pairs)), 0)

    def zero(self) -> None:
        """Set all values to 0; only before this is signed, when nobody reads here yet."""
        for _, values in self.entries():
            for index in range(len(values)):
                values[index] = 0.0

    def learn(self) -> None:
        """Take up the entries that are here already."""
        self._known.update(self.entries())

    def values(self, key: Key, count: int) -> memoryview[float] | None:
        """The values of an entry, which is made where there is none; None where there is no room.

        Args:
            key: of the entry.
            count: of its values.
        """
        known = self._known.get(key)
        return self._append(key, count) if known is None else known

    def metric(self, metric: Metric, labels: tuple[str, ...]) -> memoryview[float] | None:
        """The values of a metric with the values of its labels; None where there is no room."""
        pairs = tuple(zip(metric.labels, labels, strict=True))
        count = len(metric.bounds) + 2 if metric.kind == HISTOGRAM else 1
        return self.values(Key(metric.name, metric.kind, pairs, metric.bounds), count)

    def _append(self, key: Key, count: int) -> memoryview[float] | None:
        text = msgspec.json.encode(key)
        values_at = _ENTRY.size + -(-len(text) // 8) * 8
        size = values_at + 8 * count
        start = _FIRST_ENTRY + self._words[_USED]
        if start + size > REGION_BYTES:
            return None
        entry = self._bytes[start : start + size]
        entry[:] = bytes(size)  # an earlier owner may have written here
        _ENTRY.pack_into(entry, 0, size, len(text))
        entry[_ENTRY.size : _ENTRY.size + len(text)] = text
        # Last: who reads sees the whole entry or nothing of it.
        self._words[_USED] += size
        values = entry[values_at:].cast("d")
        self._known[key] = values
        return values

    def entries(self) -> Iterator[tuple[Key, memoryview[float]]]:
        """All entries, as they are now."""
        at, end = _FIRST_ENTRY, min(_FIRST_ENTRY + self._words[_USED], REGION_BYTES)
        while at < end:
            size, key_bytes = _ENTRY.unpack_from(self._bytes, at)
            first = at + _ENTRY.size
            values_at = first + -(-key_bytes // 8) * 8
            if size < _ENTRY.size or at + size > end:
                return  # written by nobody who keeps to the layout
            key = _key(bytes(self._bytes[first : first + key_bytes]))
            yield key, self._bytes[values_at : at + size].cast("d")
            at += size


class Memory:
    """All of it, mapped into this process.

    Args:
        descriptor: of the file in memory; stays the caller's to close.

    Raises:
        ValueError: it is memory of another layout.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        if os.fstat(descriptor).st_size != _BYTES:
            raise ValueError("this memory is of another size")
        # A view, so that slices of it are windows and not copies.
        self.view = memoryview(mmap.mmap(descriptor, _BYTES))
        self._words = self.view[:_HEADER_BYTES].cast("Q")
        if self._words[0] != _MAGIC:
            raise ValueError("this memory is of another layout")
        self.history = self.view[_HEADER_BYTES:_REGIONS_AT].cast("d")

    @classmethod
    def make(cls) -> Memory:
        """New memory, all zero; its descriptor is not inheritable.

        Takes memory as it is used: some pages for each process.
        """
        descriptor = os.memfd_create("windlass-metrics", os.MFD_CLOEXEC)
        os.truncate(descriptor, _BYTES)
        os.pwrite(descriptor, _MAGIC.to_bytes(8, "little"), 0)
        return cls(descriptor)

    def regions(self) -> Iterator[Region]:
        """The regions that are somebody's."""
        for number in range(1, REGIONS):
            at = _REGIONS_AT + number * REGION_BYTES
            if self.view[at : at + 8] != _NOBODY:
                yield Region(self, number)

    def free(self, taken: frozenset[int]) -> Region | None:
        """A region that is nobody's and not among `taken`; None where there is none."""
        used = {region.number for region in self.regions()} | taken
        number = next((n for n in range(1, REGIONS) if n not in used), None)
        return None if number is None else Region(self, number)

    def read(self) -> list[Part]:
        """What all processes have counted, those that have ended first.

        While the master folds, and for as long as it may take, this tries again.
        """
        parts: list[Part] = []
        for _ in range(_MOST_TRIES):
            before = self._words[_SEQUENCE]
            parts = self._read()
            if before % 2 == 0 and before == self._words[_SEQUENCE]:
                break
        return parts

    def _read(self) -> list[Part]:
        parts = []
        for region in (Region(self, _DEAD), *self.regions()):
            values: dict[Key, list[float]] = {}
            origin = None
            for key, found in region.entries():
                if key.kind == ORIGIN:
                    origin = msgspec.convert(dict(key.labels), Origin, strict=False)
                else:
                    values[key] = cast("list[float]", found.tolist())
            if region.number == _DEAD or origin is not None:
                parts.append(Part(origin, values))
        return parts

    def fold(self, region: Region) -> int:
        """Add what a process has counted to what the dead have, and free its region.

        What was not signed was never shown to anybody, and is forgotten. Only for the master, and
        only once that process has ended.

        Returns:
            How many series are lost, because the dead had no room for them.
        """
        dead = Region(self, _DEAD)
        dead.learn()
        entries = list(region.entries())
        is_signed = any(key.kind == ORIGIN for key, _ in entries)
        lost = 0
        self._words[_SEQUENCE] |= 1
        try:
            for key, values in entries if is_signed else ():
                if key.kind in _OF_THE_LIVING:
                    continue
                kept = dead.values(key, len(values))
                if kept is None:
                    lost += 1
                    continue
                for index, value in enumerate(values):
                    kept[index] += value
            region.clear()
        finally:
            self._words[_SEQUENCE] += 1
        return lost


_NOBODY = bytes(8)


@lru_cache(maxsize=8192)
def _key(text: bytes) -> Key:
    return msgspec.json.decode(text, type=Key)
