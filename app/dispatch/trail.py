"""A chain of states, walked backwards without keeping all of it.

Both dynamic programmes here run from the last plant to the first and are then read from the first
to the last. Keeping every state can take gigabytes. A `Trail` keeps what fits into its room, at
even distances, and computes the stretch in between again when it is read: a shorter `Trail`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

State = TypeVar("State")

ROOM_BYTES = 48 << 20


class Trail(Generic[State]):
    """States `count`, `count - 1`, ..., 0; each is `step(i, state i + 1)`.

    Memory: twice `room` bytes (`ROOM_BYTES` if not given), or two states per halving of `count`
    where these take more. Reading in order, upwards or downwards, computes each state once more
    per level of shorter trails.
    """

    def __init__(
        self,
        start: State,
        count: int,
        step: Callable[[int, State], State],
        state_bytes: int,
        room: int | None = None,
    ) -> None:
        self._count = count
        self._step = step
        self._state_bytes = state_bytes
        self._room = ROOM_BYTES if room is None else room
        kept = max(self._room // state_bytes, 2)
        self._stride = 1 if count <= kept else -(-2 * count // kept) if kept > 3 else -(-count // 2)
        self._marks = {count: start}
        state = start
        for index in range(count - 1, -1, -1):
            state = step(index, state)
            if index % self._stride == 0:
                self._marks[index] = state
        self._begin = -1  # of the stretch that is kept in full at present
        self._stretch: Trail[State] | None = None

    def __getitem__(self, index: int) -> State:
        if index in self._marks:
            return self._marks[index]
        begin = index - index % self._stride + 1
        if self._stretch is None or self._begin != begin:
            self._stretch = None  # before the next one takes its room
            end = min(begin + self._stride - 1, self._count)

            self._stretch = Trail(
                self._marks[end],
                end - begin,
                _from(begin, self._step),
                self._state_bytes,
                self._room // 2,
            )
            self._begin = begin
        return self._stretch[index - begin]


def _from(begin: int, step: Callable[[int, State], State]) -> Callable[[int, State], State]:
    """Count places from `begin`. It must not know its trail: no cycle may delay freeing one."""
    return lambda place, state: step(begin + place, state)
