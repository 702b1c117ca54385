"""The switch of a host to a release, its confirmation, and the way back: the dead-man's switch.

::

    switch: write down origin and deadline -> profile -> hot upgrade -> healthy
                |                                            |
                |      confirm (healthy, over a new connection): the record is removed
                v
    go back: asked for, or the upgrade failed, or the deadline passed (`guard`), or the service
             started anew while the record was there (`recover`)

The record is on the disk before anything is switched and is removed only when the host has reached
one side for good. So whatever dies, whoever comes next knows what to do, and doing it twice is the
same as doing it once.
"""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.errors import AppError, RefusedError, ReleaseError
from app.release import argv
from app.release.host import audit, lease
from app.release.host import site as sites
from app.release.messages import At, AuditEntry, Confirmed, Nothing, Pending, Switched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.release.host.permission import Permission
    from app.release.host.service import Service
    from app.release.host.site import Site
    from app.release.messages import Back, Check, Held, Switch

_PATIENCE_S = 5.0
_HEALTH_PATIENCE_S = 20.0
_POLL_S = 0.2
_ATTEMPTS_BY_RELOAD = 2
"""Going back tries the hot upgrade so often, then starts the service anew."""
_LAST_CONFIRMED = 200


@dataclass(frozen=True, slots=True)
class Switching:
    """Switches one host.

    Attributes:
        permission: says whether a release may run here.
        key: whose key the orders come by; see `AuditEntry`.
    """

    site: Site
    service: Service
    permission: Permission
    key: str = ""

    def check(self, order: Check) -> Nothing:
        """Say whether a release may and can run here; nothing is switched.

        Raises:
            RefusedError: it may not, or cannot.
        """
        lease.require(self.site, order)
        self.permission.require(order.path, order.release)
        self.keep(order.path)
        self.service.check(order.path)
        self.service.check_agent(order.path)
        return Nothing()

    def switch(self, order: Switch) -> Switched:
        """Have the host run a release, until it is confirmed or the deadline passes.

        Raises:
            RefusedError: it may not, or did not become healthy; the host is back where it was.
        """
        begun = time.monotonic()
        with self._activating(order, _PATIENCE_S):
            self._refuse_when_pending(order)
            if order.rollback:
                self.permission.require_confirmed_before(order.path)
            else:
                self.permission.require(order.path, order.release)
            self.keep(order.path)
            pending = self._write_down(order)
            try:
                self.service.activate(order.path)
            except AppError as error:
                self._settle(pending, f"the switch failed: {error}")
                raise RefusedError("unfit", f"{error}\nThe host is back where it was") from error
            return Switched(pending.origin, time.monotonic() - begun)

    def confirm(self, order: Held) -> Nothing:
        """Make the switch of this run final: asked for over a new connection, once it is healthy.

        Raises:
            RefusedError: it is not healthy, or the host has gone back already.
        """
        with self._activating(order, _PATIENCE_S):
            confirmed = self.site.confirmed()
            pending = self.site.pending()
            if pending is None and confirmed and confirmed[-1].deploy == order.deploy:
                return Nothing()
            if pending is None or pending.deploy != order.deploy:
                raise RefusedError("unhealthy", "the host has gone back already; see: audit")
            release = self.site.release_file(pending.path)
            self._require_healthy(order, release.name)
            entry = Confirmed(
                pending.path, release.name, release.commit, pending.origin, pending.deploy,
                pending.by, time.time(),
            )  # fmt: skip
            with self.site.recording():
                # Once more, as the deadline may have passed meanwhile.
                lease.require(self.site, order)
                self.site.write("confirmed", [*confirmed, entry][-_LAST_CONFIRMED:])
                self.site.remove("switch")
            self._audit("confirm", pending, "confirmed")
            # From now on the agent is of this release: it has shown that it works.
            self._set_agent(pending.path)
            return Nothing()

    def complete(self, without: list[str]) -> None:
        """Note that every host was confirmed with what this one runs, but those left out."""
        with self.site.recording():
            confirmed = self.site.confirmed()
            if confirmed and confirmed[-1].path == self.site.current():
                confirmed[-1].complete = not without
                confirmed[-1].without = without
                self.site.write("confirmed", confirmed)
                # What was left may have come by a run that nobody saw complete.
                self.permission.use_up(confirmed[-1].path)
                self.permission.use_up(confirmed[-1].origin)

    def back(self, order: Back) -> At:
        """Go back to where this run found the host, confirmed or not.

        Raises:
            ReleaseError: it is not there yet; the guard goes on trying.
        """
        with self._activating(order, self.site.config().start_timeout_s):
            pending = self.site.pending() or self._pending_of_confirmed(order)
            if pending is not None and pending.deploy == order.deploy:
                self._settle(pending, order.reason)
        return At(self.site.current())

    def settle_overdue(self, *, started_anew: bool = False) -> bool:
        """Go back where nobody has confirmed in time; whether there was anything to do.

        Args:
            started_anew: whether the service was just started: then at once, as nothing runs that
                a hot upgrade could change.
        """
        if not self._is_overdue(started_anew=started_anew):
            return False
        with self.site.activating(0.0):
            pending = self.site.pending()
            if pending is None or not self._is_overdue(started_anew=started_anew):
                return False
            if started_anew:
                self._return_to_origin_at_start(pending)
            else:
                self._settle(pending, "nobody confirmed it in time")
        return True

    def settle_left_open(self, deploy: str) -> bool:
        """Go back where another run left its switch open; whether there was anything to do.

        Only for who has just been given the lease: then that other run is over.

        Raises:
            RefusedError: the host is just going back.
            ReleaseError: it cannot yet.
        """
        if self.site.pending() is None:
            return False
        with self.site.activating(_PATIENCE_S):
            pending = self.site.pending()
            if pending is None or pending.deploy == deploy:
                return False
            self._settle(pending, "nobody confirmed it in time")
        return True

    def keep(self, path: str) -> None:
        """Have a release outlast every collection of garbage."""
        link = self.site.releases / path.rpartition("/")[2]
        self.service.shell.run(argv.keep(link, path), timeout_s=60.0)

    # ---- steps

    @contextlib.contextmanager
    def _activating(self, order: Held, patience_s: float) -> Iterator[None]:
        """Hold the right to change what runs, for who holds the lease.

        Raises:
            RefusedError: the lease is over: at once, and not after another's switch.
        """
        lease.require(self.site, order)
        with self.site.activating(patience_s):
            lease.require(self.site, order)  # the wait may have outlasted it
            yield

    def _require_healthy(self, order: Held, name: str) -> None:
        """Return when the service is healthy; a busy machine may not say so at the first asking."""
        deadline = time.monotonic() + _HEALTH_PATIENCE_S
        while fault := self.service.fault(name):
            lease.require(self.site, order)
            if time.monotonic() >= deadline:
                raise RefusedError("unhealthy", fault)
            time.sleep(_POLL_S)

    def _set_agent(self, path: str) -> None:
        self.service.shell.run(argv.keep(self.site.agent, path), timeout_s=60.0)

    def _refuse_when_pending(self, order: Switch) -> None:
        pending = self.site.pending()
        if pending is not None:
            raise RefusedError(
                "busy", f"the switch to {pending.path} is still open; the host goes back by itself"
                if pending.deploy != order.deploy else "this run has switched the host already",
            )  # fmt: skip

    def _write_down(self, order: Switch) -> Pending:
        pending = Pending(
            order.deploy, order.fence, self.site.current(), order.path, sites.boot(),
            0.0, time.time(), order.by, order.reason,
        )  # fmt: skip
        self._audit("switch", pending, "begun", required=True)
        with self.site.recording():
            lease.require(self.site, order)
            # The lease must not end before: whoever has it next would find this still open.
            pending.deadline_s = lease.prolong(self.site, order.window_s)
            self.site.write("switch", pending)
        return pending

    def _is_overdue(self, *, started_anew: bool) -> bool:
        pending = self.site.pending()
        return pending is not None and (
            started_anew or sites.left_s(pending.boot, pending.deadline_s) <= 0
        )

    def _pending_of_confirmed(self, order: Back) -> Pending | None:
        """The confirmed switch of this run as if it were open: then going back undoes it."""
        confirmed = self.site.confirmed()
        if not confirmed or confirmed[-1].deploy != order.deploy:
            return None
        last = confirmed[-1]
        pending = Pending(
            order.deploy, order.fence, last.origin, last.path, sites.boot(), 0.0, time.time(),
            order.by, order.reason,
        )  # fmt: skip
        with self.site.recording():
            self.site.write("switch", pending)
            self.site.write("confirmed", confirmed[:-1])
        return pending

    def _settle(self, pending: Pending, reason: str) -> None:
        """Bring the host back to its origin and remove the record; the record stays if it fails.

        Raises:
            ReleaseError: the host is not there yet.
        """
        try:
            self._return(pending)
        except AppError as error:
            with contextlib.suppress(OSError), self.site.recording():
                pending.attempts += 1
                pending.deadline_s = 0.0
                self.site.write("switch", pending)
            self._audit("back", pending, f"not yet: {error}", reason=reason)
            raise ReleaseError(
                f"The way back to {pending.origin or 'nothing'} is not finished: {error}; "
                "the host goes on trying"
            ) from error
        with self.site.recording():
            self.site.remove("switch")
        self._audit("back", pending, audit.WENT_BACK, reason=reason)
        if pending.origin and str(self.site.agent.resolve()) == pending.path:
            self._set_agent(pending.origin)  # it had been confirmed, and no longer is

    def _return(self, pending: Pending) -> None:
        if not pending.origin:
            self.service.deactivate()
            return
        name = self.site.release_file(pending.origin).name
        self.service.set_profile(pending.origin)
        found = self.service.status()
        # A refused upgrade has left, or brought back, the workers of before.
        if found.reload.startswith("failed") and not self.service.fault(name):
            return
        if pending.attempts < _ATTEMPTS_BY_RELOAD:
            self.service.activate(pending.origin)
        else:
            self.service.restart(pending.origin)

    def _return_to_origin_at_start(self, pending: Pending) -> None:
        if pending.origin:
            self.service.set_profile(pending.origin)
        else:
            self.site.profile.unlink(missing_ok=True)
        with self.site.recording():
            self.site.remove("switch")
        self._audit("back", pending, audit.WENT_BACK, reason="the service started anew before a "
                    "confirmation")  # fmt: skip

    def _audit(
        self, action: str, pending: Pending, result: str, *, reason: str = "",
        required: bool = False,
    ) -> None:  # fmt: skip
        entry = AuditEntry(
            "", action, pending.by, pending.deploy, pending.origin, pending.path,
            reason or pending.reason, result, key=self.key,
        )  # fmt: skip
        try:
            audit.append(self.site, entry)
        except OSError as error:
            # A full disk must keep nobody from going back.
            sys.stderr.write(f"windlass: the audit log cannot be written: {error}\n")
            if required:
                raise RefusedError(
                    "unfit", f"the audit log cannot be written ({error.strerror}); make room"
                ) from error
