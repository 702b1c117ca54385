"""The storm: does every reply reach its caller, whatever breaks meanwhile?

Many callers send commands of which each knows the only right replies: ECHO of a tag that is used
once, and INCR of a key of the caller's own. A tenth of the calls is cancelled at a random moment,
connections are reset at random, half of them in the middle of a reply, and replies come in random
pieces. INCR is checked from both sides: the key may never stand lower than what was acknowledged,
nor higher than that and what was of unknown outcome.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

from app.errors import StoreUnavailableError
from app.store.outcome import NotExecutedError, UnknownOutcomeError
from app.store.pipeline import pack
from benchmarks.store.lanes import make_lanes
from benchmarks.store.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.store.counters import Counters
    from app.store.lanes import Lanes

_SHARE_CANCELLED = 0.1
_MOST_TURNS = 6
_CALLS_BETWEEN_RESETS = 700


@dataclass(slots=True)
class Tally:
    """What became of the calls.

    Attributes:
        right: replies that were the caller's own.
        wrong: replies that were not, each described; none may be.
        cancelled: calls whose caller left.
        unknown: calls of unknown outcome.
        not_executed: calls that were never sent.
        resets: connections that were reset.
    """

    right: int = 0
    wrong: list[str] = field(default_factory=list)
    cancelled: int = 0
    unknown: int = 0
    not_executed: int = 0
    resets: int = 0

    @property
    def calls(self) -> int:
        """All of them."""
        return self.right + len(self.wrong) + self.cancelled + self.unknown + self.not_executed


@dataclass(slots=True)
class _Caller:
    """One caller; `acknowledged` and `uncertain` are of the increments of its key."""

    number: int
    lanes: Lanes
    random: Random
    tally: Tally
    sent: int = 0
    acknowledged: int = 0
    last: int = 0
    uncertain: int = 0

    @property
    def key(self) -> str:
        return f"storm:{self.number}"

    async def run(self, calls: int) -> None:
        for _ in range(calls):
            self.sent += 1
            increments = self.random.random() < 0.5
            tag = f"{self.number}/{self.sent}"
            command = pack("INCR", self.key) if increments else pack("ECHO", tag)
            # A quarter never leaves, so that of their increments few are uncertain.
            if self.number % 4 and self.random.random() < _SHARE_CANCELLED:
                await self._leave(command)
                self.uncertain += increments
                continue
            try:
                reply = await self.lanes.call(command)
            except StoreUnavailableError as error:
                self._fail(error, increments=increments)
                await asyncio.sleep(0.001)
                continue
            wrong = self._judge_count(reply) if increments else reply != tag.encode()
            if wrong:
                self.tally.wrong.append(f"{tag}: {command!r} was answered {reply!r}")
            else:
                self.tally.right += 1

    def _judge_count(self, reply: object) -> bool:
        most = self.acknowledged + self.uncertain + 1
        if not isinstance(reply, int) or not self.last < reply <= most:
            return True
        self.acknowledged += 1
        self.last = reply
        return False

    def _fail(self, error: StoreUnavailableError, *, increments: bool) -> None:
        if isinstance(error, UnknownOutcomeError):
            self.tally.unknown += 1
            self.uncertain += increments
        elif isinstance(error, NotExecutedError):
            self.tally.not_executed += 1
        else:
            self.tally.wrong.append(f"{self.key}: {error}")

    async def _leave(self, command: bytes) -> None:
        """Send, and be cancelled some turns of the event loop later."""
        self.tally.cancelled += 1
        if self.random.random() < 0.5:
            try:
                future = self.lanes.call(command)
            except StoreUnavailableError:
                return
            await self._some_turns()
            if not future.cancel() and not future.cancelled():
                future.exception()
            return
        task = asyncio.create_task(self._ask(command))
        await self._some_turns()
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()

    async def _ask(self, command: bytes) -> object:
        return await self.lanes.call(command)

    async def _some_turns(self) -> None:
        for _ in range(self.random.randrange(_MOST_TURNS)):
            await asyncio.sleep(0)


async def run(path: str, *, calls: int, callers: int, seed: int) -> tuple[Tally, Counters]:
    """A whole storm on the Redis at a unix socket; also what the store counted meanwhile."""
    random = Random(seed)
    async with Proxy(path) as proxy:
        lanes = make_lanes(f"redis://127.0.0.1:{proxy.port}/0", connections=8)
        tally = await storm(lanes, proxy, random, calls=calls, callers=callers)
        await lanes.close()
    return tally, lanes.counters


async def storm(lanes: Lanes, proxy: Proxy, random: Random, *, calls: int, callers: int) -> Tally:
    """Send `calls` commands by `callers` at once and see what becomes of them.

    The network is not repeated by a seed: another run of the same one meets other resets.

    Args:
        lanes: to Redis, through `proxy`.
        proxy: what resets their connections and chops what comes.
        random: decides who leaves, what is reset, and when.
        calls: how many.
        callers: how many are waited for at once.
    """
    tally = Tally()
    crowd = [_Caller(number, lanes, random, tally) for number in range(callers)]
    proxy.chop = lambda data: _pieces(data, random)
    breaking = asyncio.create_task(_break_connections(proxy, random, tally))
    share, rest = divmod(calls, callers)
    async with asyncio.TaskGroup() as group:
        for caller in crowd:
            group.create_task(caller.run(share + (caller.number < rest)))
    breaking.cancel()
    await asyncio.wait([breaking])
    if not breaking.cancelled():
        breaking.result()
    await _audit(lanes, crowd)
    return tally


async def _audit(lanes: Lanes, crowd: Iterable[_Caller]) -> None:
    """See that no key stands lower than acknowledged, nor higher than all that may be counted."""
    for caller in crowd:
        reply = await _persistently(lanes, pack("GET", caller.key))
        stands = int(reply) if isinstance(reply, bytes) else 0
        least = max(caller.acknowledged, caller.last)
        if not least <= stands <= caller.acknowledged + caller.uncertain:
            caller.tally.wrong.append(f"{caller.key} stands at {stands}: {caller}")


async def _persistently(lanes: Lanes, command: bytes) -> object:
    """The reply to a command that may be repeated."""
    while True:
        try:
            return await lanes.call(command)
        except StoreUnavailableError:
            await asyncio.sleep(0.01)


async def _break_connections(proxy: Proxy, random: Random, tally: Tally) -> None:
    """Reset a connection after every few hundred calls."""
    reached = 0
    while True:
        await asyncio.sleep(0.001)
        if tally.calls < reached or not proxy.relays:
            continue
        reached = tally.calls + random.randrange(2 * _CALLS_BETWEEN_RESETS)
        relay = random.choice(proxy.relays)
        tally.resets += 1
        if random.random() < 0.5:
            relay.reset()
        else:
            relay.bytes_left = random.randrange(1, 500)


def _pieces(data: bytes, random: Random) -> list[bytes]:
    """Now and then cut into a few pieces, anywhere."""
    if random.random() < 0.8 or len(data) < 4:
        return [data]
    cuts = [0, *sorted(random.sample(range(1, len(data)), 3)), len(data)]
    return [data[start:end] for start, end in pairwise(cuts)]
