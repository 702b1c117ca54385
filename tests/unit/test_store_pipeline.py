"""One connection, driven byte by byte: whatever happens, a reply reaches only its own caller.

The other side is a real socket in the hands of the test; hypothesis decides who calls, who leaves,
how much of which reply comes when, what is pushed in between and when the connection breaks.
"""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import hiredis
import pytest
import uvloop
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.store.outcome import UnknownOutcomeError
from app.store.pipeline import Pipeline, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from typing import Any

T = TypeVar("T")
TIMEOUT_S = 60.0
PUSHES = (
    b">2\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\nkey\r\n",
    b">3\r\n+message\r\n$4\r\n:1\r\n\r\n$7\r\n+OK\r\n:5\r\n",
)
JUNK = (b"HTTP/1.1 400 Bad Request\r\n\r\n", b":12x\r\n", b"\x00", b"*-7\r\n", b"\r\n")


class Log:
    """A watcher that writes down what it is told."""

    def __init__(self) -> None:
        self.discarded = 0
        self.late = 0
        self.reasons: list[str] = []

    def replied(self, discarded: int) -> None:
        self.discarded += discarded

    def timed_out(self, calls: int) -> None:
        self.late += calls

    def writable(self) -> None:
        pass

    def lost(self, pipeline: Pipeline, reason: str) -> None:
        assert not pipeline.is_usable
        self.reasons.append(reason)


@dataclass
class Asked:
    tag: bytes
    future: asyncio.Future[object]
    left: bool = False


class Rig:
    """A pipeline, its event loop, and the other end of its socket."""

    def __init__(
        self,
        timeout_s: float = TIMEOUT_S,
        new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
    ) -> None:
        self.loop = new_loop()
        near, self.far = socket.socketpair()
        near.settimeout(0)
        self.far.settimeout(0)
        self.log = Log()
        self.asked: list[Asked] = []
        self.pipeline: Pipeline = self.run(self._connect(near, timeout_s))
        self.pipeline.has_joined = True

    async def _connect(self, near: socket.socket, timeout_s: float) -> Pipeline:
        loop = asyncio.get_running_loop()
        _, pipeline = await loop.create_connection(
            lambda: Pipeline(self.log, timeout_s=timeout_s), sock=near
        )
        return pipeline

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(what)

    def turn(self) -> None:
        """Let the loop read what has come and tell who waits for it."""
        for _ in range(3):
            self.run(asyncio.sleep(0))

    def send(self, tags: list[bytes], timeout_s: float = TIMEOUT_S) -> list[Asked]:
        deadline = self.loop.time() + timeout_s
        asked = [Asked(tag, self.loop.create_future()) for tag in tags]
        self.pipeline.send([(pack("ECHO", a.tag), a.future, deadline) for a in asked])
        self.asked += asked
        self.turn()
        return asked

    def received(self) -> bytes:
        found = b""
        while True:
            try:
                piece = self.far.recv(1 << 20)
            except (BlockingIOError, ConnectionResetError):
                return found
            if not piece:
                return found
            found += piece

    def close(self) -> None:
        self.pipeline.end("the test is over")
        self.turn()
        for asked in self.asked:
            assert asked.future.done()
            if not asked.future.cancelled():
                asked.future.exception()  # asyncio complains of one that nobody looks at
        self.far.close()
        self.loop.close()


class Interleaving(RuleBasedStateMachine):
    """Calls, departures, replies in pieces, pushes and broken connections in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.begin()

    def begin(self) -> None:
        self.rig = Rig()
        self.unanswered: list[Asked] = []  # Redis has not replied to them yet, oldest first
        self.under_way: list[tuple[int, Asked]] = []  # where in `wire` the reply of each ends
        self.wire = b""
        self.discards = 0

    def teardown(self) -> None:
        self.rig.close()

    @rule(count=st.integers(1, 5))
    def call(self, count: int) -> None:
        tags = [str(self.number + i).encode() for i in range(count)]
        self.number += count
        self.unanswered += self.rig.send(tags)
        assert self.rig.received() == b"".join(pack("ECHO", tag) for tag in tags)

    @rule(which=st.integers(0, 50))
    def leave(self, which: int) -> None:
        waiting = [a for a in self.waiting() if not a.left]
        if waiting:
            asked = waiting[which % len(waiting)]
            asked.left = asked.future.cancel()
            assert asked.left

    @precondition(lambda self: self.unanswered)
    @rule(forms=st.lists(st.sampled_from(["bulk", "number", "error"]), min_size=1, max_size=5))
    def answer(self, forms: list[str]) -> None:
        for form in forms[: len(self.unanswered)]:
            asked = self.unanswered.pop(0)
            self.wire += {
                "bulk": b"$%d\r\n%s\r\n" % (len(asked.tag), asked.tag),
                "number": b":%s\r\n" % asked.tag,
                "error": b"-ERR %s\r\n" % asked.tag,
            }[form]
            self.under_way.append((len(self.wire), asked))

    @rule(push=st.sampled_from(PUSHES))
    def push(self, push: bytes) -> None:
        self.wire += push

    @precondition(lambda self: self.wire)
    @rule(share=st.floats(0, 1))
    def deliver(self, share: float) -> None:
        count = max(1, round(len(self.wire) * share))
        self.rig.far.sendall(self.wire[:count])
        self.rig.turn()
        self.wire = self.wire[count:]
        for end, asked in self.under_way:
            if end > count:
                continue
            if asked.left:
                self.discards += 1
                assert asked.future.cancelled()
            else:
                assert number_of(asked.future.result()) == int(asked.tag)
        self.under_way = [(end - count, a) for end, a in self.under_way if end > count]
        assert self.rig.log.discarded == self.discards

    @rule()
    def cut(self) -> None:
        self.rig.far.close()
        self.breaks("ended the connection")

    @precondition(lambda self: not self.wire)
    @rule(junk=st.sampled_from(JUNK))
    def garble(self, junk: bytes) -> None:
        self.rig.far.sendall(junk)
        self.breaks("no reply")

    @precondition(lambda self: not (self.wire or self.unanswered))
    @rule()
    def answer_without_a_question(self) -> None:
        self.rig.far.sendall(b":1\r\n")
        self.breaks("nobody asked for")

    def breaks(self, reason: str) -> None:
        waiting = self.waiting()
        self.rig.turn()
        for asked in waiting:
            if asked.left:
                assert asked.future.cancelled()
            else:
                assert isinstance(asked.future.exception(), UnknownOutcomeError)
        assert not self.rig.pipeline.is_usable
        (told,) = self.rig.log.reasons
        assert reason in told
        self.rig.close()
        self.begin()

    def waiting(self) -> list[Asked]:
        return [*(asked for _, asked in self.under_way), *self.unanswered]

    @invariant()
    def nobody_is_told_before_the_reply(self) -> None:
        assert all(asked.future.done() == asked.left for asked in self.waiting())
        assert self.rig.pipeline.in_flight == len(self.waiting())


def number_of(reply: object) -> int:
    if isinstance(reply, hiredis.ReplyError):
        return int(str(reply).removeprefix("ERR "))
    assert isinstance(reply, (bytes, int))
    return int(reply)


TestInterleaving = Interleaving.TestCase
TestInterleaving.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.close()


def test_batch_is_one_piece(rig: Rig) -> None:
    rig.send([b"a", b"b", b"c"])
    assert rig.received() == pack("ECHO", "a") + pack("ECHO", "b") + pack("ECHO", "c")


def test_replies_byte_by_byte_reach_their_callers(rig: Rig) -> None:
    tags = [b"%d" % i * 7 for i in range(20)]
    asked = rig.send(tags)
    for byte in b"".join(b"$%d\r\n%s\r\n" % (len(tag), tag) for tag in tags):
        rig.far.sendall(bytes([byte]))
        rig.turn()
    assert [a.future.result() for a in asked] == tags


def test_late_reply_is_discarded_and_the_next_one_is_right() -> None:
    rig = Rig(timeout_s=0.05)
    (late,) = rig.send([b"late"], timeout_s=0.05)
    rig.run(asyncio.sleep(0.06))
    assert isinstance(late.future.exception(), UnknownOutcomeError)
    assert "50 ms" in str(late.future.exception())
    assert rig.log.late == 1
    (prompt,) = rig.send([b"prompt"])
    rig.far.sendall(b"$4\r\nlate\r\n$6\r\nprompt\r\n")
    rig.turn()
    assert prompt.future.result() == b"prompt"
    assert rig.log.discarded == 1
    rig.close()


def test_timeout_holds_after_a_late_reply_too() -> None:
    rig = Rig(timeout_s=0.05)
    first, second = rig.send([b"first", b"second"], timeout_s=0.05)
    rig.run(asyncio.sleep(0.06))
    rig.far.sendall(b"$5\r\nfirst\r\n$6\r\nsecond\r\n")
    rig.turn()
    third, fourth = rig.send([b"third", b"fourth"], timeout_s=0.05)
    rig.run(asyncio.sleep(0.07))
    for asked in (first, second, third, fourth):
        assert "within 50 ms" in str(asked.future.exception())
    assert rig.log.late == 4
    rig.close()


def test_connection_that_stays_silent_is_given_up() -> None:
    rig = Rig(timeout_s=0.05)
    first, second = *rig.send([b"1"], timeout_s=0.05), *rig.send([b"2"], timeout_s=TIMEOUT_S)
    rig.run(asyncio.wait_for(rig.pipeline.gone, 1))
    assert rig.log.reasons == ["Redis was silent for too long"]
    assert isinstance(first.future.exception(), UnknownOutcomeError)
    assert isinstance(second.future.exception(), UnknownOutcomeError)
    rig.close()


class Spin(asyncio.Protocol):
    """Holds the event loop up when data comes, as a handler that computes would."""

    def __init__(self, seconds: float, then: Callable[[], None]) -> None:
        self.seconds = seconds
        self.then = then

    def data_received(self, _data: bytes) -> None:
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            pass
        self.then()


def test_reply_that_waits_unread_in_the_socket_is_not_late() -> None:
    """When the event loop was held up itself, what came meanwhile counts."""
    # uvloop calls protocols while it polls, and runs timers before it polls again.
    rig = Rig(timeout_s=0.05, new_loop=uvloop.new_event_loop)
    (asked,) = rig.send([b"here"], timeout_s=0.05)

    async def scenario() -> None:
        near, far = socket.socketpair()
        spin = Spin(0.1, lambda: rig.far.sendall(b"$4\r\nhere\r\n"))
        transport, _ = await rig.loop.create_connection(lambda: spin, sock=near)
        far.sendall(b"compute")
        assert await asked.future == b"here"
        transport.close()
        far.close()

    rig.run(scenario())
    rig.close()
