"""The way of an upgrade: from one release to the next in the same process, and back.

::

    SIGHUP -> check -> exec ---> new workers ready -> on probation -> old ones drain: succeeded
                |       |              |                   |
                v       v              v                   v
              failed: what serves has not been touched; new workers are stopped, and the release
              that works is executed again, so that its master goes on too

Nothing old is retired before all that is new has been ready for as long as the probation lasts. An
upgrade that is asked for during another waits. With a standby the old workers stay for a while,
alive and not accepting: the way back then is a signal to them, and it is taken unasked when workers
of the new release die again and again. Without, it is an upgrade to the release before, through the
same gates.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import msgspec

from app import log
from app.process import state as handover
from app.process import worker
from app.process.check import POLL_S, Check
from app.process.crew import SIGNALS, tell
from app.process.options import CHECK, SERVE
from app.process.state import Launch
from app.telemetry.verdict import NO_WAY_BACK

if TYPE_CHECKING:
    from app.process.crew import Crew, Loss
    from app.process.options import MasterOptions
    from app.process.state import Child, MasterState

CHECKING = "checking"
UNDER_WAY = "under way"
SUCCEEDED = "succeeded"
FAILED = "failed: "
WENT_BACK = "went back to "
BACK_TIMEOUT_S = 2.0
CRASH_LOOP = 3
"""Ends in a row, each soon after its start, after which workers on standby are called back."""
_STAYS_NEW = (
    ". The code on disk is what the master itself runs now: a worker that dies is replaced by one "
    "of this code. Mend it and reload"
)


class Upgrade:
    """Upgrades one after the other, as they are asked for.

    Args:
        options: of the master.
        state: of the master.
        crew: the workers.
    """

    def __init__(self, options: MasterOptions, state: MasterState, crew: Crew) -> None:
        self._options = options
        self._state = state
        self._crew = crew
        self._log = log.get(process="master")
        self._check: Check | None = None
        self._probation_ends: float | None = None
        self._failure: str | None = None
        self._recalled_until: float | None = None
        self._reason_to_go_back = ""

    @property
    def is_under_way(self) -> bool:
        """Whether one is between its check and its verdict, or was asked for."""
        return (
            self._state.reload in {CHECKING, UNDER_WAY}
            or self._state.reload_wanted
            or self._state.back_wanted
            or self._recalled_until is not None
        )

    def advance(self, *, may_begin: bool) -> None:
        """Take the upgrade that is wanted or under way one step further, if it can go.

        Args:
            may_begin: whether nothing else is being replaced just now.
        """
        if self._failure is not None:
            self._go_back_to_what_works(self._failure)
        elif self._check is not None:
            self._hear_check(self._check)
        elif self._recalled_until is not None:
            self._hear_standby(self._recalled_until)
        elif self._state.reload == UNDER_WAY:
            self._retire_when_replaced()
        elif self._state.reload_wanted and may_begin:
            self._state.reload_wanted = False
            self._begin_newest()
        elif self._state.back_wanted and may_begin:
            self._state.back_wanted = False
            self._begin_back()

    def takes(self, loss: Loss) -> bool:
        """Whether a loss ends the upgrade, which then is all that follows from it."""
        if self._state.reload != UNDER_WAY or loss.child.generation != self._state.generation:
            return False
        self._failure = self._failure or f"new worker {loss.child.slot} {loss.how}"
        return True

    def judge(self, loss: Loss) -> None:
        """Go back unasked where the new release keeps dying while the one before stands by."""
        ends = self._state.slots[loss.child.slot].failures
        is_new = loss.child.generation == self._state.generation
        if is_new and ends >= CRASH_LOOP and not self.is_under_way and self._standby_is_whole():
            self._reason_to_go_back = (
                f": worker {loss.child.slot} {loss.how}, {ends} times in a row"
            )
            self._state.back_wanted = True

    def next_deadline(self) -> float | None:
        """Monotonic time at which there is something to do without any signal."""
        if self._recalled_until is not None or self._failure is not None:
            return time.monotonic() + POLL_S / 5
        if self._check is not None:
            return self._check.deadline
        return self._probation_ends

    def owns(self, pid: int) -> bool:
        """Whether a process is the check's, which this reaps."""
        return self._check is not None and self._check.process.pid == pid

    def abandon(self) -> None:
        """End the check, if there is one: the master stops."""
        if self._check is not None:
            self._check.abandon()
            self._check = None

    # ---- the check

    def _begin_newest(self) -> None:
        self._count("the newest code")
        try:
            command = self._options.newest()
        except OSError as error:
            self._refuse(f"the new code cannot be found: {error}")
            return
        self._start_check(Launch([*command, SERVE], handover.entries(self._options.environ)))

    def _start_check(self, target: Launch) -> None:
        self._state.target = target
        argv = (*target.argv[:-1], CHECK)
        environ = handover.mapping_of([*target.environ, *target.settings])
        try:
            self._check = Check.start(argv, environ, self._options.start_timeout_s)
        except OSError as error:
            self._refuse(f"{argv[0]} cannot be executed: {error.strerror}")

    def _hear_check(self, check: Check) -> None:
        verdict = check.verdict()
        if verdict is None:
            return
        self._check = None
        sys.stdout.write(verdict.output)
        if verdict.is_fit:
            self._exec_target()
        else:
            self._refuse(verdict.reason)

    def _count(self, what: str) -> None:
        self._state.reload = CHECKING
        self._state.reloads += 1
        self._log.info("checking", what=what)

    def _refuse(self, reason: str) -> None:
        """End an upgrade that has not begun to change anything."""
        self._state.reload = FAILED + reason
        self._state.record("reload failed", reason)
        self._log.error("reload failed; the old workers go on", reason=reason)

    # ---- the change

    def _exec_target(self) -> None:
        self._log.info("reloading", generation=self._state.generation)
        self._state.earlier = self._state.previous
        self._state.reload = UNDER_WAY
        self._state.slots_before_reload = len(self._state.slots)
        self._state.previous = self._state.current
        error = execute(self._state)
        self._state.previous = self._state.earlier
        self._refuse(error)

    def _retire_when_replaced(self) -> None:
        new = [c for c in self._state.children if c.generation == self._state.generation]
        ready = {child.slot for child in new if child.state == "ready"}
        now = time.monotonic()
        if len(ready) < self._options.workers:
            return
        if self._probation_ends is None:
            self._probation_ends = now + self._options.probation_s
        if now >= self._probation_ends:
            self._probation_ends = None
            self._succeed()

    def _succeed(self) -> None:
        self._state.reload = SUCCEEDED
        self._state.record("reloaded", f"release {self._state.release} serves")
        self._log.info("reloaded", generation=self._state.generation)
        for child in self._state.children:
            if child.generation < self._state.generation:
                self._retire(child)

    def _retire(self, child: Child) -> None:
        can_stand_by = child.state == "ready" and child.pulse_fd >= 0 and child.forked_at > 0
        if not self._options.standby_s or not can_stand_by:
            self._crew.stop(child)
            return
        child.state = "standby"
        child.deadline = time.monotonic() + self._options.standby_s
        tell(child, worker.STAND_BY)

    # ---- the way back from a release that is no good

    def _go_back_to_what_works(self, reason: str) -> None:
        self._failure = self._probation_ends = None
        self._stop_new_workers()
        self._state.record("reload failed", reason)
        self._log.error("reload failed; the old workers go on", reason=reason)
        problem = _return(self._state, reason)
        self._state.reload = f"{FAILED}{reason}{problem}"
        # The master stays the new code, as in a checkout. What serves is its own from now on:
        # workers of a generation before are recycled, here into the code that was just refused.
        for child in self._state.children:
            if child.state != "standby":
                child.generation = self._state.generation

    def _stop_new_workers(self) -> None:
        """Stop the new worker of each slot that still has its old one, or that was not there."""
        generation = self._state.generation
        old = {c.slot for c in self._state.children if c.generation < generation
               and c.state in {"starting", "ready"}}  # fmt: skip
        for child in self._state.children:
            is_extra = child.slot >= self._state.slots_before_reload
            if child.generation == generation and (child.slot in old or is_extra):
                self._crew.stop(child)

    # ---- the way back that is asked for

    def _begin_back(self) -> None:
        previous = self._state.previous
        self._count("the release before")
        if previous is None or not is_another(previous, self._state.current):
            self._refuse(NO_WAY_BACK)
        elif not self._standby_is_whole():
            self._start_check(previous)
        else:
            for child in self._standby():
                tell(child, worker.SERVE_AGAIN)
            self._recalled_until = time.monotonic() + BACK_TIMEOUT_S

    def _standby(self) -> list[Child]:
        return [child for child in self._state.children if child.state == "standby"]

    def _standby_is_whole(self) -> bool:
        # With another number of workers Nginx would have to learn of it in between.
        slots = {child.slot for child in self._standby()}
        return len(slots) == self._options.workers == self._state.slots_before_reload

    def _hear_standby(self, deadline: float) -> None:
        back = self._standby()
        pulses = [self._crew.pulse_of(child) for child in back]
        if not all(pulse is not None and pulse.is_accepting for pulse in pulses):
            if time.monotonic() >= deadline:
                self._recalled_until = None
                for child in back:
                    tell(child, worker.STAND_BY)
                self._refuse("the workers on standby did not accept in time")
            return
        self._recalled_until = None
        for child in self._state.children:
            if child in back:
                child.state, child.deadline = "ready", None
            else:
                self._crew.stop(child)
        self._state.reload = WENT_BACK + back[0].release + self._reason_to_go_back
        self._state.record("went back", f"to {back[0].release}{self._reason_to_go_back}")
        self._log.warning(self._state.reload)
        self._say_already(back[0].release)
        problem = _return(self._state, "")
        if problem:
            self._state.reload += problem

    def _say_already(self, release: str) -> None:
        """Tell whoever waits for the way back: the old workers serve before their master is."""
        said = msgspec.structs.replace(self._state, release=release)
        with contextlib.suppress(OSError):  # said again by the master of that release
            handover.write_status(self._options.status_path, said)


def is_another(launch: Launch, than: Launch | None) -> bool:
    """Whether to start `launch` would run other code, or the same with other settings."""
    return than is None or (launch.argv, launch.settings) != (than.argv, than.settings)


def return_after_failed_start(state: MasterState, error: BaseException) -> None:
    """Go back to the release that handed over: this one cannot even begin.

    Returns where there is nothing to go back to.
    """
    if state.reload != UNDER_WAY:
        return
    reason = f"the new code did not start: {type(error).__name__}: {error}"
    log.get(process="master").error("reload failed; the old workers go on", reason=reason)
    if state.target is not None:  # it did not get as far as taking over the state
        state.generation += 1
        state.current = state.target
    state.reload = FAILED + reason
    state.record("reload failed", reason)
    _return(state, reason)


def _return(state: MasterState, reason: str) -> str:
    """Become the release before, whose workers serve; returns only with why that is impossible."""
    target = state.previous
    if target is None or not is_another(target, state.current):
        return _STAYS_NEW
    before = state.reload
    if reason:
        state.reload = FAILED + reason
    state.target, state.returning = target, True
    problem = execute(state)
    state.reload, state.returning = before, False
    log.get(process="master").error("the release before cannot be executed", reason=problem)
    return f". The master itself runs the new code, for {problem}"


def execute(state: MasterState) -> str:
    """Become `state.target` in this process; returns only with why that is impossible."""
    target = state.target or Launch([""])
    handover.set_inheritable(state, yes=True)
    # Pending signals wait for the new code's handlers instead of killing it while it loads.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    sys.stdout.flush()
    environ = handover.mapping_of(target.environ) | handover.to_environment(state)
    try:
        os.execve(target.argv[0], target.argv, environ)  # noqa: S606
    except OSError as error:
        handover.from_environment(environ)  # closes what nobody reads
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        handover.set_inheritable(state, yes=False)
        return f"{target.argv[0]} cannot be executed: {error.strerror}"
