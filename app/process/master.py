"""The master: keeps the listening sockets and the workers, and becomes new code in place.

One loop. Signal handlers only write a byte that wakes it; everything is decided in `run`, from the
signals, the workers' pipes and pulses, dead children and deadlines. The workers are the `Crew`'s,
new code is the `Upgrade`'s, replacing workers in time the `Recycler`'s.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import os
import selectors
import signal
import socket
import time
from typing import TYPE_CHECKING

from app import log
from app.process import state
from app.process.crew import SIGNALS, Crew, reap_strangers
from app.process.ledger import Ledger
from app.process.options import SERVE
from app.process.predecessors import Predecessors
from app.process.recycling import Recycler
from app.process.state import Child, Launch, MasterState
from app.process.upgrade import FAILED, Upgrade, return_after_failed_start

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    import psutil

    from app.process.crew import Loss
    from app.process.options import MasterOptions


class Master:
    """Runs workers until it is told to stop.

    Args:
        options: what to run.
        inherited: what the master before this one handed over in the same process, or None.
        predecessors: workers that a killed master left.
    """

    def __init__(
        self,
        options: MasterOptions,
        inherited: MasterState | None = None,
        predecessors: Sequence[psutil.Process] = (),
    ) -> None:
        self._options = options
        self._log = log.get(process="master")
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._written: MasterState | None = None
        self._state = inherited or MasterState(os.getpid(), time.time(), 0, "", [], [])
        self._returning = self._state.returning
        self._take_office()
        self._ledger = Ledger(options, self._state)
        self._crew = Crew(options, self._state, self._selector, self._ledger)
        self._upgrade = Upgrade(options, self._state, self._crew)
        self._recycler = Recycler(options, self._state, self._crew)
        self._predecessors = Predecessors(predecessors, options)

    def _take_office(self) -> None:
        now, options = self._state, self._options
        state.set_inheritable(now, yes=False)
        left = now.generation
        now.generation += 1
        now.release = options.release
        now.current = Launch(
            [*options.command, SERVE], state.entries(options.environ),
            state.entries(options.settings),
        )  # fmt: skip
        now.target = None
        if now.returning:
            # A failed upgrade leaves the way back that there was; one that was gone is used up.
            now.previous = now.earlier if now.reload.startswith(FAILED) else None
            now.returning, now.earlier = False, None
            for child in now.children:
                if child.generation < left and child.state != "standby":
                    child.generation = now.generation  # what serves is this release's own

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; return the exit code."""
        with self._signals():
            self._start()
            while self._state.children or self._state.orphans or not self._stopping:
                self._ledger.advance()
                self._write_status()
                self._wait()
                self._take_losses()
                self._succeed_predecessors()
                if self._stopping:
                    self._upgrade.abandon()
                else:
                    self._upgrade.advance(may_begin=not self._recycler.is_busy)
                    self._crew.respawn()
                    self._recycler.advance(may_begin=not self._upgrade.is_under_way)
                    self._crew.close_surplus_sockets()
        self._crew.close_sockets()
        self._options.status_path.unlink(missing_ok=True)
        self._log.info("stopped")
        return 0

    def _start(self) -> None:
        try:
            self._crew.open_sockets()
        except OSError as error:
            return_after_failed_start(self._state, error)
            raise
        self._succeed_predecessors()
        # What is loaded by now is shared with every worker; the collector must not copy its pages
        # by touching them.
        gc.collect()
        gc.freeze()
        if self._returning:
            self._crew.spawn_where_none_serves()
            self._crew.close_surplus_sockets()
        else:
            for slot in range(self._options.workers):
                self._crew.spawn(slot)
        if self._state.generation == 1:
            if orphans := len(self._state.orphans):
                self._state.record("master died", f"{orphans} of its workers serve on")
            self._state.record("started", f"{self._options.workers} workers")
        self._log.info(
            "started", generation=self._state.generation, workers=self._options.workers,
            release=self._options.release,
        )  # fmt: skip

    def _succeed_predecessors(self) -> None:
        """Take the place of workers that a killed master left, once ours are proven."""
        self._predecessors.advance(is_whole=self._crew.is_whole())
        self._state.orphans = self._predecessors.pids
        is_over = self._predecessors.can_go() or not self._state.orphans
        if is_over and not self._stopping:
            self._crew.publish_sockets()
        if is_over or self._stopping:
            self._predecessors.ask_to_end()

    # ---- signals

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        receiver, sender = socket.socketpair()
        for end in (receiver, sender):
            end.settimeout(0)
        self._selector.register(receiver, selectors.EVENT_READ, receiver)
        signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        previous = {number: signal.signal(number, _only_wake) for number in SIGNALS}
        # A master that was exec'ed by one with signals blocked must not stay deaf.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in previous.items():
                signal.signal(number, handler)
            receiver.close()
            sender.close()

    def _wait(self) -> None:
        for key, _ in self._selector.select(self._seconds_to_next_deadline()):
            if isinstance(key.data, Child):
                self._crew.hear(key.data)
                continue
            for number in key.data.recv(4096):
                self._on_signal(number)

    def _seconds_to_next_deadline(self) -> float | None:
        times = [
            self._crew.next_deadline(), self._ledger.next_deadline(),
            self._predecessors.next_deadline(),
        ]  # fmt: skip
        if not self._stopping:
            times += [self._upgrade.next_deadline(), self._recycler.next_deadline()]
        due = [at for at in times if at is not None]
        return max(min(due) - time.monotonic(), 0.0) if due else None

    def _on_signal(self, number: int) -> None:
        if number in {signal.SIGTERM, signal.SIGINT} and not self._stopping:
            self._log.info("stopping", signal=signal.Signals(number).name)
            self._stopping = True
            for child in self._state.children:
                self._crew.stop(child)
            for slot in self._state.slots:
                slot.respawn_at = None
        elif number == signal.SIGHUP:
            self._state.reload_wanted = True
        elif number == signal.SIGUSR2:
            self._state.back_wanted = True

    # ---- losses

    def _take_losses(self) -> None:
        for loss in self._crew.losses():
            if self._upgrade.takes(loss):
                if loss.child.slot < self._state.slots_before_reload:
                    self._crew.note(loss, counts=False)
            elif not self._recycler.takes(loss):
                self._state.record("worker died", _words(loss))
                self._crew.note(loss)
                self._upgrade.judge(loss)
            if self._stopping:
                self._state.slots[loss.child.slot].respawn_at = None
        pids = {child.pid for child in self._state.children}
        reap_strangers(lambda pid: pid in pids or self._upgrade.owns(pid))

    def _write_status(self) -> None:
        if self._state == self._written:
            return
        try:
            state.write_status(self._options.status_path, self._state)
        except OSError as error:  # on a full disk the service goes on; only its status is old
            self._log.warning("status not written", reason=str(error))
        else:
            self._written = copy.deepcopy(self._state)


def _words(loss: Loss) -> str:
    return f"worker {loss.child.slot} (pid {loss.child.pid}) {loss.how}"


def _only_wake(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the wake-up descriptor has told the loop."""
