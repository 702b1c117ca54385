"""The stack's log files: their last lines, and new ones as they come."""

from __future__ import annotations

import collections
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_POLL_S = 0.2


def names(folder: Path) -> list[str]:
    """The programs that have a log."""
    return sorted(path.stem for path in folder.glob("*.log"))


def last(path: Path, count: int) -> list[str]:
    """The last lines of a file, without their ends; none where there is no file."""
    try:
        with path.open(errors="replace", newline="\n") as file:
            return [line.rstrip("\n") for line in collections.deque(file, maxlen=count)]
    except FileNotFoundError:
        return []


def follow(
    folder: Path, programs: list[str], until: Callable[[], bool], *, from_end: bool
) -> Iterator[tuple[str, str]]:
    """New lines of several programs' logs, each with the program's name, until `until` says so.

    A file that is rotated away is read to its end first; one that appears later is taken up.

    Args:
        folder: of the logs.
        programs: whose logs; all that there are, also later, where the list is empty.
        until: asked when there is nothing new.
        from_end: whether to leave out what the files hold now.
    """
    tails = {name: _Tail(folder / f"{name}.log") for name in programs or names(folder)}
    for tail in tails.values():
        if from_end:
            tail.skip_to_end()
    while True:
        ending = until()
        if not programs:
            for name in names(folder):
                tails.setdefault(name, _Tail(folder / f"{name}.log"))
        for name, tail in tails.items():
            for line in tail.new_lines():
                yield name, line
        if ending:
            return
        time.sleep(_POLL_S)


class _Tail:
    """One file, followed across its rotation."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = 0
        self._offset = 0
        self._rest = b""

    def skip_to_end(self) -> None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return
        self._inode, self._offset = found.st_ino, found.st_size

    def new_lines(self) -> Iterator[str]:
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                if found.st_ino != self._inode:
                    yield from self._finish_rotated()
                    self._inode, self._offset = found.st_ino, 0
                elif found.st_size < self._offset:
                    self._offset, self._rest = 0, b""
                yield from self._read(file.fileno())
        except FileNotFoundError:
            return

    def _finish_rotated(self) -> Iterator[str]:
        rotated = self._path.with_name(f"{self._path.name}.1")
        try:
            with rotated.open("rb") as file:
                if os.fstat(file.fileno()).st_ino == self._inode:
                    yield from self._read(file.fileno())
        except FileNotFoundError:
            return

    def _read(self, descriptor: int) -> Iterator[str]:
        os.lseek(descriptor, self._offset, os.SEEK_SET)
        while chunk := os.read(descriptor, 1 << 16):
            self._offset += len(chunk)
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                yield line.decode(errors="replace")
