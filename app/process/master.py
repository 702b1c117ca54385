"""The master: keeps the listening sockets, forks workers, replaces them, reloads in place.

One loop. Signal handlers only write a byte that wakes it; everything is decided in `run`, from the
signals, the workers' readiness pipes, dead children and deadlines.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app import log
from app.process import sockets, state, worker
from app.process.state import Child, MasterState, Slot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType

    from app.process.worker import WorkerContext

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
LONG_SERVICE_S = 5.0
MAX_BACKOFF_S = 5.0
KILL_GRACE_S = 1.0
UNDER_WAY = "under way"


@dataclass(frozen=True, slots=True)
class MasterOptions:
    """What a master is told.

    Attributes:
        run_dir: folder of the workers' sockets and of the status file.
        workers: how many there are.
        release: name of the release that runs.
        run_worker: serves in a forked child until SIGTERM, then drains and returns.
        exec_argv: the command that is this master, executed on a reload.
        check_argv: the command that says by its exit code whether that code is fit to serve.
        start_timeout_s: seconds a worker may take to become ready.
        drain_timeout_s: seconds a worker may take to finish after SIGTERM.
        environ: of the code that a reload loads.
    """

    run_dir: Path
    workers: int
    release: str
    run_worker: Callable[[WorkerContext], None]
    exec_argv: tuple[str, ...]
    check_argv: tuple[str, ...]
    start_timeout_s: float
    drain_timeout_s: float
    environ: Mapping[str, str]

    @property
    def status_path(self) -> Path:
        """File in which the master says how it is."""
        return self.run_dir / "master.json"

    def socket_path(self, slot: int) -> Path:
        """Where the worker of a slot listens."""
        return self.run_dir / f"worker-{slot}.sock"


class Master:
    """Runs workers until it is told to stop.

    Args:
        options: what to run.
        inherited: what the master before this one handed over in the same process, or None.
    """

    def __init__(self, options: MasterOptions, inherited: MasterState | None = None) -> None:
        self._options = options
        self._log = log.get(process="master")
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._check: _Check | None = None
        self._written: MasterState | None = None
        self._state = inherited or MasterState(os.getpid(), time.time(), 0, "", [], [])
        self._state.generation += 1
        self._state.release = options.release
        self._pid = os.getpid()
        for child in self._state.children:
            if child.ready_fd >= 0:
                os.set_inheritable(child.ready_fd, False)
                self._selector.register(child.ready_fd, selectors.EVENT_READ, child)
        for slot in self._state.slots:
            os.set_inheritable(slot.fd, False)

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; return the exit code."""
        with self._signals():
            self._open_sockets()
            self._start_generation()
            self._write_status()
            while self._state.children or not self._stopping:
                self._wait()
                self._reap()
                self._enforce_deadlines()
                self._respawn()
                self._advance_reload()
                self._close_surplus_sockets()
                self._write_status()
        self._close_sockets()
        self._log.info("stopped")
        return 0

    # ---- signals

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        receiver, sender = socket.socketpair()
        for end in (receiver, sender):
            end.settimeout(0)
        self._selector.register(receiver, selectors.EVENT_READ, receiver)
        signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        previous = {number: signal.signal(number, _only_wake) for number in _SIGNALS}
        # A master that was exec'ed by one with signals blocked must not stay deaf.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
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
                self._hear(key.data)
                continue
            for number in key.data.recv(4096):
                self._on_signal(number)

    def _seconds_to_next_deadline(self) -> float | None:
        times = [child.deadline for child in self._state.children]
        times += [slot.respawn_at for slot in self._state.slots]
        times.append(self._check.deadline if self._check else None)
        due = [at for at in times if at is not None]
        return max(min(due) - time.monotonic(), 0.0) if due else None

    def _on_signal(self, number: int) -> None:
        if number in {signal.SIGTERM, signal.SIGINT} and not self._stopping:
            self._log.info("stopping", signal=signal.Signals(number).name)
            self._stopping = True
            for child in self._state.children:
                self._stop(child)
        elif number == signal.SIGHUP:
            self._state.reload_wanted = True

    # ---- workers

    def _open_sockets(self) -> None:
        for number in range(len(self._state.slots), self._options.workers):
            path = self._options.socket_path(number)
            listener = sockets.listen_unix(path)
            self._state.slots.append(Slot(listener.detach(), str(path)))

    def _close_sockets(self) -> None:
        for slot in self._state.slots:
            os.close(slot.fd)
            Path(slot.path).unlink(missing_ok=True)
        self._options.status_path.unlink(missing_ok=True)

    def _close_surplus_sockets(self) -> None:
        """Close the sockets of slots that a reload has done away with, once nobody serves there."""
        slots = self._state.slots
        while len(slots) > self._options.workers:
            if any(child.slot == len(slots) - 1 for child in self._state.children):
                return
            slot = slots.pop()
            os.close(slot.fd)
            Path(slot.path).unlink(missing_ok=True)

    def _write_status(self) -> None:
        if self._state == self._written:
            return
        try:
            state.write_status(self._options.status_path, self._state)
        except OSError as error:  # on a full disk the service goes on; only its status is old
            self._log.warning("status not written", reason=str(error))
        else:
            self._written = copy.deepcopy(self._state)

    def _start_generation(self) -> None:
        # What is loaded by now is shared with every worker; the collector must not copy its pages
        # by touching them.
        gc.collect()
        gc.freeze()
        for slot in range(self._options.workers):
            self._spawn(slot)
        self._log.info(
            "started", generation=self._state.generation, workers=self._options.workers,
            release=self._options.release,
        )  # fmt: skip

    def _spawn(self, slot: int) -> None:
        self._state.slots[slot].respawn_at = None
        reader, writer = os.pipe()
        # No signal may reach the child before it has handlers of its own.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                self._become_child(slot, writer)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.close(writer)
        deadline = time.monotonic() + self._options.start_timeout_s
        child = Child(
            pid,
            slot,
            self._state.generation,
            time.time(),
            self._options.release,
            ready_fd=reader,
            deadline=deadline,
        )
        self._state.children.append(child)
        self._selector.register(reader, selectors.EVENT_READ, child)

    def _become_child(self, slot: int, ready_fd: int) -> None:
        self._selector.close()
        for child in self._state.children:
            if child.ready_fd >= 0:
                os.close(child.ready_fd)
        for number, other in enumerate(self._state.slots):
            if number != slot:
                os.close(other.fd)
        context = worker.WorkerContext(
            slot,
            [socket.socket(fileno=self._state.slots[slot].fd)],
            self._options.drain_timeout_s,
            ready_fd,
        )
        worker.run_child(context, self._options.run_worker, self._pid)

    def _hear(self, child: Child) -> None:
        said = os.read(child.ready_fd, 1)
        self._forget_pipe(child)
        # An empty read is the end of a child that died first; `_reap` deals with it.
        if said == worker.READY and child.state == "starting":
            child.state = "ready"
            child.deadline = None
            self._log.info("worker ready", slot=child.slot, pid=child.pid)

    def _stop(self, child: Child) -> None:
        if child.state == "stopping":
            return
        child.state = "stopping"
        child.deadline = time.monotonic() + self._options.drain_timeout_s + KILL_GRACE_S
        _kill(child.pid, signal.SIGTERM)

    def _enforce_deadlines(self) -> None:
        now = time.monotonic()
        for child in self._state.children:
            if child.deadline is None or child.deadline > now:
                continue
            self._log.warning("worker late", slot=child.slot, pid=child.pid, late_in=child.state)
            if child.state == "starting":
                self._give_up_start(child)
            else:
                child.deadline = None
                _kill(child.pid, signal.SIGKILL)

    def _give_up_start(self, child: Child) -> None:
        """Stop a worker that is not ready in time; it may serve already, so it drains as any."""
        if child.generation == self._state.generation and self._state.reload == UNDER_WAY:
            self._fail_reload(f"new worker {child.slot} was not ready in time")
        if child.state == "starting":  # nothing else serves its slot
            self._stop(child)
            self._note_end(child, "was not ready in time")

    def _reap(self) -> None:
        for child in list(self._state.children):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid == 0:
                continue
            self._state.children.remove(child)
            self._forget_pipe(child)
            if child.state == "stopping":
                self._log.info("worker stopped", slot=child.slot, pid=child.pid)
            else:
                self._on_unasked_end(child, status)

    def _on_unasked_end(self, child: Child, status: int) -> None:
        how = _describe_exit(status)
        self._log.error("worker died", slot=child.slot, pid=child.pid, how=how, state=child.state)
        if child.generation == self._state.generation and self._state.reload == UNDER_WAY:
            self._fail_reload(f"new worker {child.slot} {how}")
            if child.slot >= self._state.slots_before_reload:
                return
        self._note_end(child, how)

    def _note_end(self, child: Child, how: str) -> None:
        """Count an end that nobody asked for, and have the slot served anew."""
        slot = self._state.slots[child.slot]
        slot.restarts += 1
        slot.last_exit = how
        long_service = time.time() - child.started >= LONG_SERVICE_S
        slot.failures = 0 if child.state == "ready" and long_service else slot.failures + 1
        if not any(c.slot == child.slot and c.state != "stopping" for c in self._state.children):
            late = slot.failures - 1
            backoff = min(0.1 * 2**late, MAX_BACKOFF_S) if late > 0 else 0.0
            slot.respawn_at = time.monotonic() + backoff

    def _respawn(self) -> None:
        now = time.monotonic()
        for number, slot in enumerate(self._state.slots):
            if slot.respawn_at is None or slot.respawn_at > now:
                continue
            if self._stopping or number >= self._options.workers:
                slot.respawn_at = None
            else:
                self._spawn(number)

    def _forget_pipe(self, child: Child) -> None:
        if child.ready_fd >= 0:
            self._selector.unregister(child.ready_fd)
            os.close(child.ready_fd)
            child.ready_fd = -1

    # ---- reload

    def _advance_reload(self) -> None:
        """Take the reload that is wanted or under way one step further, if it can go."""
        old = [c for c in self._state.children if c.generation < self._state.generation]
        if self._stopping:
            self._abandon_check()
        elif self._check is not None:
            self._hear_check(self._check)
        elif self._state.reload == UNDER_WAY:
            self._retire_when_replaced(old)
        elif self._state.reload_wanted:
            self._state.reload_wanted = False
            self._state.reload = "checking"
            self._state.reloads += 1
            self._log.info("checking the code to reload", argv=self._options.check_argv)
            self._check = _Check.start(self._options.check_argv, self._options.start_timeout_s)

    def _retire_when_replaced(self, old: list[Child]) -> None:
        current = [c for c in self._state.children if c.generation == self._state.generation]
        if len({c.slot for c in current if c.state == "ready"}) == self._options.workers:
            self._state.reload = "succeeded"
            self._log.info("reloaded", generation=self._state.generation)
            for child in old:
                self._stop(child)

    def _hear_check(self, check: _Check) -> None:
        code = check.process.poll()
        if code is None and time.monotonic() < check.deadline:
            return
        self._abandon_check()
        if code == 0:
            self._exec()
        else:
            how = "gave no verdict in time" if code is None else f"exited with {code}"
            self._fail_reload(f"the check of the new code {how}")

    def _abandon_check(self) -> None:
        if self._check is not None:
            if self._check.process.poll() is None:
                self._check.process.kill()
                self._check.process.wait()
            self._check = None

    def _fail_reload(self, reason: str) -> None:
        """Stop what is new, if anything is yet; what is old has not been touched and goes on."""
        if self._state.reload == UNDER_WAY:
            self._stop_new_workers()
        self._state.reload = f"failed: {reason}"
        self._log.error("reload failed; the old workers go on", reason=reason)

    def _stop_new_workers(self) -> None:
        """Stop the new worker of each slot that still has its old one, or that was not there."""
        old = {c.slot for c in self._state.children if c.generation < self._state.generation}
        for child in self._state.children:
            is_extra = child.slot >= self._state.slots_before_reload
            if child.generation == self._state.generation and (child.slot in old or is_extra):
                self._stop(child)

    def _exec(self) -> None:
        """Become the newest code in the same process, with the sockets and the old workers."""
        self._log.info("reloading", generation=self._state.generation)
        self._state.reload = UNDER_WAY
        self._state.slots_before_reload = len(self._state.slots)
        for child in self._state.children:
            if child.ready_fd >= 0:
                os.set_inheritable(child.ready_fd, True)
        for slot in self._state.slots:
            os.set_inheritable(slot.fd, True)
        # Pending signals wait for the new code's handlers instead of killing it while it loads.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        sys.stdout.flush()
        environment = {**self._options.environ, **state.to_environment(self._state)}
        try:
            os.execve(self._options.exec_argv[0], self._options.exec_argv, environment)  # noqa: S606
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            self._state.reload = "checking"  # nothing is new yet
            self._fail_reload(f"{self._options.exec_argv[0]} cannot be executed: {error.strerror}")


@dataclass(frozen=True, slots=True)
class _Check:
    """The check of the new code, running as a process of its own."""

    process: subprocess.Popen[bytes]
    deadline: float

    @classmethod
    def start(cls, argv: tuple[str, ...], timeout_s: float) -> _Check:
        return cls(subprocess.Popen(argv), time.monotonic() + timeout_s)


def _only_wake(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the wake-up descriptor has told the loop."""


def _kill(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _describe_exit(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
