"""The crew: every worker process of a master, from its fork to its end.

Owns the slots with their listening sockets and the children that serve there. It forks, hears that
a child is ready, watches its pulse and its deadline, stops, kills and reaps it. What it does not
decide is whether a loss ends an upgrade: it reports each `Loss`, and is told what to do.
"""

from __future__ import annotations

import contextlib
import os
import random
import selectors
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app import log
from app.process import pulse, sockets, worker
from app.process.state import Child, Slot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.process.ledger import Ledger
    from app.process.options import MasterOptions
    from app.process.state import MasterState
    from app.telemetry.memory import Region

SIGNALS = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR2,
)  # fmt: skip
"""What a master listens to; blocked around a fork and an `exec`."""
LONG_SERVICE_S = 5.0
BRIEF_SERVICE_S = 1.0
_MOST_DOUBLINGS = 10
MAX_BACKOFF_S = 5.0
KILL_GRACE_S = 1.0
ABORT_GRACE_S = 1.0
TRACEBACK_GRACE_S = 0.2
_SPREAD = 0.1
_SERVING = {"starting", "ready"}


@dataclass(frozen=True, slots=True)
class Loss:
    """A worker that ended, or is ending, although nobody asked it to.

    Attributes:
        child: as it was.
        how: for people, such as "killed by SIGKILL".
    """

    child: Child
    how: str


class Crew:
    """The workers of one master.

    Args:
        options: of the master.
        state: of the master; slots and children there are the crew's.
        selector: in which the pipes of starting children are registered, with the child as data.
        ledger: told of each child that begins and ends.
    """

    def __init__(
        self,
        options: MasterOptions,
        state: MasterState,
        selector: selectors.BaseSelector,
        ledger: Ledger,
    ) -> None:
        self._ledger = ledger
        self._options = options
        self._state = state
        self._selector = selector
        self._log = log.get(process="master")
        self._pid = os.getpid()
        self._pulses: dict[int, pulse.Listener] = {}
        self._next_look = 0.0
        # The master before this one in the same process may have left it undone.
        self._are_published = False
        for child in state.children:
            self._adopt(child)

    # ---- sockets

    def open_sockets(self) -> None:
        """Listen for each slot that has no socket yet; to be found, these must be published."""
        for number in range(len(self._state.slots), self._options.workers):
            path = self._options.socket_path(number)
            self._state.slots.append(Slot(sockets.listen_unix(path).detach(), str(path)))
            self._are_published = False

    def publish_sockets(self) -> None:
        """Give the sockets their names, if they have not got them: new clients come to us now."""
        if not self._are_published:
            self._are_published = True
            for slot in self._state.slots:
                sockets.publish_unix(Path(slot.path))

    def close_surplus_sockets(self) -> None:
        """Close the sockets of slots that are done away with, once nobody serves there."""
        while len(self._state.slots) > self._options.workers:
            if any(child.slot == len(self._state.slots) - 1 for child in self._state.children):
                return
            self._close_last_socket()

    def close_sockets(self) -> None:
        """Close all of them."""
        while self._state.slots:
            self._close_last_socket()

    def _close_last_socket(self) -> None:
        slot = self._state.slots.pop()
        os.close(slot.fd)
        sockets.remove_unix(Path(slot.path))

    # ---- forks

    def spawn(self, slot: int, *, replaces: int = 0) -> Child:
        """Fork a worker for a slot."""
        self._state.slots[slot].respawn_at = None
        reader, writer = os.pipe()
        pulse_fd = pulse.make()
        region = self._ledger.region()
        # No signal may reach the child before it has handlers of its own.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                self._become_child(slot, writer, pulse_fd, region)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.close(writer)
        child = Child(
            pid, slot, self._state.generation, time.time(), self._options.release,
            ready_fd=reader, pulse_fd=pulse_fd, replaces=replaces,
            deadline=time.monotonic() + self._options.start_timeout_s,
            spread=random.uniform(1 - _SPREAD, 1 + _SPREAD), forked_at=time.monotonic(),
        )  # fmt: skip
        self._state.children.append(child)
        self._ledger.forked(child, region)
        self._adopt(child)
        return child

    def _adopt(self, child: Child) -> None:
        if child.ready_fd >= 0:
            self._selector.register(child.ready_fd, selectors.EVENT_READ, child)
        if child.pulse_fd >= 0:
            self._pulses[child.pid] = pulse.Listener(pulse.Pulse(child.pulse_fd))

    def _become_child(self, slot: int, ready_fd: int, pulse_fd: int, region: Region | None) -> None:
        self._selector.close()
        for child in self._state.children:
            for descriptor in (child.ready_fd, child.pulse_fd):
                if descriptor >= 0:
                    os.close(descriptor)
        for number, other in enumerate(self._state.slots):
            if number != slot:
                os.close(other.fd)
        context = worker.WorkerContext(
            slot,
            [socket.socket(fileno=self._state.slots[slot].fd)],
            self._options.drain_timeout_s,
            ready_fd,
            pulse.Pulse(pulse_fd),
            pulse.beat_interval_s(self._options.heartbeat_timeout_s),
            region,
        )
        worker.run_child(context, self._options.run_worker, self._pid)

    def hear(self, child: Child) -> None:
        """Read what a starting child says on its pipe."""
        said = os.read(child.ready_fd, 1)
        self._forget_pipe(child)
        # An empty read is the end of a child that died first; `reap` deals with it.
        if said == worker.READY and child.state == "starting":
            child.state = "ready"
            child.deadline = None
            self._log.info("worker ready", slot=child.slot, pid=child.pid)

    def respawn(self) -> None:
        """Fork a worker for each slot whose time has come."""
        now = time.monotonic()
        for number, slot in enumerate(self._state.slots):
            if slot.respawn_at is None or slot.respawn_at > now:
                continue
            if number >= self._options.workers:
                slot.respawn_at = None
            else:
                self.spawn(number)

    def spawn_where_none_serves(self) -> None:
        """Fork a worker for each slot that has none and waits for none."""
        served = {child.slot for child in self._state.children if child.state in _SERVING}
        for number in range(self._options.workers):
            if number not in served and self._state.slots[number].respawn_at is None:
                self.spawn(number)

    def is_whole(self) -> bool:
        """Whether each slot has a worker that is ready."""
        ready = {child.slot for child in self._state.children if child.state == "ready"}
        return len(ready) >= self._options.workers

    # ---- ends

    def stop(self, child: Child) -> None:
        """Ask a worker to drain and end."""
        if child.state in {"stopping", "blocked"}:
            return
        child.state = "stopping"
        child.deadline = time.monotonic() + self._options.drain_timeout_s + KILL_GRACE_S
        tell(child, signal.SIGTERM)

    def losses(self) -> Iterator[Loss]:
        """Reap, judge pulses and deadlines; yields each worker that was lost unasked."""
        yield from self._reap()
        yield from self._enforce_deadlines()
        self._listen_to_pulses()

    def note(self, loss: Loss, *, counts: bool = True) -> None:
        """Take a loss to the record of its slot, and have the slot served anew.

        Args:
            loss: what was lost.
            counts: whether it counts as a restart of the slot.
        """
        child = loss.child
        slot = self._state.slots[child.slot]
        was_ready = child.state in {"ready", "blocked"}
        lived_s = time.monotonic() - child.forked_at
        slot.last_exit = loss.how
        if counts:
            slot.restarts += 1
            has_served = was_ready and lived_s >= LONG_SERVICE_S
            slot.failures = 0 if has_served else slot.failures + 1
        if not any(c.slot == child.slot and c.state in _SERVING for c in self._state.children):
            pause_s = pause_before_fork_s(slot.failures, lived_s if was_ready else 0.0)
            slot.respawn_at = time.monotonic() + pause_s

    def _reap(self) -> Iterator[Loss]:
        for child in list(self._state.children):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid == 0:
                continue
            self._forget(child)
            self._ledger.ended(child, describe_exit(status))
            if child.state in {"stopping", "standby"}:
                self._log.info("worker stopped", slot=child.slot, pid=child.pid)
                continue
            how = describe_exit(status)
            if child.state == "blocked":
                how = f"its event loop stood still; {how}"
            self._log.error(
                "worker died", slot=child.slot, pid=child.pid, how=how, state=child.state
            )
            yield Loss(child, how)

    def _enforce_deadlines(self) -> Iterator[Loss]:
        now = time.monotonic()
        for child in list(self._state.children):
            if child.deadline is None or child.deadline > now:
                continue
            if child.state == "standby":
                self.stop(child)
                continue
            if child.state == "starting" and not child.is_late:
                # It must have written where it stands before it is told to end.
                child.is_late, child.deadline = True, now + TRACEBACK_GRACE_S
                tell(child, worker.TRACEBACK)
                continue
            self._log.warning("worker late", slot=child.slot, pid=child.pid, late_in=child.state)
            if child.state == "starting":
                self.stop(child)  # it may serve already, so it drains as any
                yield Loss(child, "was not ready in time")
            else:
                child.deadline = None
                tell(child, signal.SIGKILL)

    def _listen_to_pulses(self) -> None:
        timeout_s = self._options.heartbeat_timeout_s
        now = time.monotonic()
        if not timeout_s or now < self._next_look:
            return
        interval_s = pulse.beat_interval_s(timeout_s)
        self._next_look = now + interval_s
        for child in self._state.children:
            listener = self._pulses.get(child.pid)
            if listener is None or child.state not in {"ready", "standby"}:
                continue
            if listener.look(now, interval_s) > timeout_s:
                self._abort(child, listener.silent_s)

    def _abort(self, child: Child, silent_s: float) -> None:
        self._log.error(
            "worker blocked; where its threads stand follows", slot=child.slot, pid=child.pid,
            silent_s=round(silent_s, 1),
        )  # fmt: skip
        child.state = "blocked"
        child.deadline = time.monotonic() + ABORT_GRACE_S
        sys.stdout.flush()
        tell(child, signal.SIGABRT)

    def _forget(self, child: Child) -> None:
        self._state.children.remove(child)
        self._forget_pipe(child)
        self._pulses.pop(child.pid, None)
        if child.pulse_fd >= 0:
            os.close(child.pulse_fd)
            child.pulse_fd = -1

    def _forget_pipe(self, child: Child) -> None:
        if child.ready_fd >= 0:
            self._selector.unregister(child.ready_fd)
            os.close(child.ready_fd)
            child.ready_fd = -1

    # ---- what others ask

    def pulse_of(self, child: Child) -> pulse.Pulse | None:
        """What a child shows of itself; None for one of a release that had no pulse."""
        listener = self._pulses.get(child.pid)
        return listener.pulse if listener else None

    def next_deadline(self) -> float | None:
        """Monotonic time at which there is something to do without any signal."""
        times = [child.deadline for child in self._state.children]
        times += [slot.respawn_at for slot in self._state.slots]
        if self._options.heartbeat_timeout_s and self._pulses:
            times.append(self._next_look)
        return min((at for at in times if at is not None), default=None)


def pause_before_fork_s(failures: int, served_s: float) -> float:
    """Seconds until a slot is served anew after its worker ended unasked.

    Args:
        failures: how many in a row have ended before they had served for long.
        served_s: how long the last of them lived, 0 if it never became ready. One that has served
            for a second is replaced at once: a fork a second does not hurt.
    """
    if failures < 2 or served_s >= BRIEF_SERVICE_S:
        return 0.0
    doubled: int = 2 ** min(failures - 1, _MOST_DOUBLINGS)
    return min(0.1 * doubled, MAX_BACKOFF_S)


def tell(child: Child, number: signal.Signals) -> None:
    """Send a worker a signal, if it still is."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child.pid, number)


def describe_exit(status: int) -> str:
    """How a process ended, for people; `status` as of waitpid."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exited with {code}"
    known = {int(number) for number in signal.Signals}
    return f"killed by {signal.Signals(-code).name if -code in known else f'signal {-code}'}"


def reap_strangers(known: Callable[[int], bool]) -> None:
    """Reap what was never ours to start: orphans that pid 1 of a container is given."""
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        # One that somebody here waits for stays first in the row until it is reaped; another turn
        # of the loop comes to those behind it.
        if found is None or known(found.si_pid):
            return
        os.waitpid(found.si_pid, os.WNOHANG)
