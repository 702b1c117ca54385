"""Many small numbers in one integer, compared and added all at once.

Each number has a lane of `bits` bits, whose top bit stays free: it catches the borrow when all
lanes are compared by one subtraction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Lanes:
    """Operations on packed losses.

    A lane without any plan holds `infinite`. Every operation takes the lesser of a lane and of
    another that was moved and raised by at most `budget`: so no lane ever exceeds `infinite`, and
    none that is compared exceeds twice that, for which there is room below the top bit.
    """

    def __init__(self, budget: int) -> None:
        self.infinite = budget + 1
        self.bits = -(-((2 * self.infinite).bit_length() + 1) // 8) * 8
        self._ones, self._known = 1, 1

    def get(self, packed: int, index: int) -> int:
        """Read one lane."""
        return packed >> (index * self.bits) & ((1 << self.bits) - 1)

    def reader(self, packed: int, count: int) -> Callable[[int], int]:
        """Prepare to read many lanes."""
        width = self.bits // 8
        data = packed.to_bytes(width * count, "little")
        return lambda index: int.from_bytes(data[index * width : (index + 1) * width], "little")

    def ones(self, count: int) -> int:
        """Give `count` lanes of 1."""
        while self._known < count:
            self._ones |= self._ones << (self._known * self.bits)
            self._known *= 2
        return self._ones >> ((self._known - count) * self.bits)

    def padded(self, packed: int, had: int, count: int) -> tuple[int, int]:
        """Cut to `count` lanes, or add lanes without a plan."""
        if count > had:
            packed |= (self.ones(count - had) * self.infinite) << (had * self.bits)
        elif count < had:
            packed &= (1 << (count * self.bits)) - 1
        return packed, count

    def without_first(self, packed: int, count: int) -> int:
        """Drop the first lanes."""
        return packed >> (count * self.bits)

    def with_output(self, packed: int, count: int, limits: tuple[int, int], rate: int) -> int:
        """Let a plant deliver 0 or `low` to `high` more, at `rate` each step."""
        low, high = limits
        if low > high or low >= count:
            return packed
        widened = self._widened(packed, count, min(high, count - 1) - low, rate, up=True)
        return self._least(packed, self._up(widened, count, low, rate), count)

    def with_less(self, packed: int, count: int, limits: tuple[int, int], rate: int) -> int:
        """Let a plant deliver up to `part` less than `whole`, or all of it less."""
        part, whole = limits
        widened = self._widened(packed, count, min(part, count - 1), rate, up=False)
        if whole >= count:
            return widened
        return self._least(widened, self._down(packed, count, whole, rate), count)

    def _widened(self, packed: int, count: int, reach: int, rate: int, *, up: bool) -> int:
        """Allow 0 to `reach` steps, by doubling."""
        move = self._up if up else self._down
        done = 0
        while done < reach:
            step = min(done + 1, reach - done)
            packed = self._least(packed, move(packed, count, step, rate), count)
            done += step
        return packed

    def _up(self, packed: int, count: int, steps: int, rate: int) -> int:
        shift, kept = steps * self.bits, count - steps
        packed &= (1 << (kept * self.bits)) - 1
        if rate and steps:
            packed += self.ones(kept) * (steps * rate)
        return packed << shift | (self.ones(steps) * self.infinite if steps else 0)

    def _down(self, packed: int, count: int, steps: int, rate: int) -> int:
        kept = count - steps
        packed >>= steps * self.bits
        if rate and steps:
            packed += self.ones(kept) * (steps * rate)
        return packed | (self.ones(steps) * self.infinite << (kept * self.bits) if steps else 0)

    def _least(self, one: int, other: int, count: int) -> int:
        """Take the lesser number in each lane."""
        top = self.ones(count) << (self.bits - 1)
        not_less = ((one | top) - other) & top
        chosen = not_less - (not_less >> (self.bits - 1))
        return one ^ ((one ^ other) & chosen)
