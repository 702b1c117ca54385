"""The orders that a host takes: each a JSON message in, one out, by the name of its function."""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from app.errors import AppError, CommandError, RefusedError
from app.release import argv
from app.release import messages as m
from app.release.host import audit, lease, retention, traffic
from app.release.host import site as sites
from app.release.host.permission import Permission
from app.release.host.retention import Retention
from app.release.host.service import Service, fault_of, run_release
from app.release.host.switching import Switching
from app.release.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.release.host.site import Site

_FULL = {errno.ENOSPC, errno.EDQUOT}
_MAKE_ROOM = "make room with: windlass gc; where that cannot begin, by logging in"
EXECUTABLE = ("check", "config", "status")
"""Commands of a release that `windlass exec` may run: none of them changes anything."""


@dataclass(frozen=True, slots=True)
class Agent:
    """What carries out the orders of one host.

    Attributes:
        key: whose key the orders come by; see `AuditEntry`.
    """

    site: Site
    shell: Shell
    switching: Switching
    key: str = ""

    @classmethod
    def at(cls, site: Site, environ: Mapping[str, str], key: str = "") -> Agent:
        """The agent of a site.

        Args:
            site: of the host.
            environ: of this process.
            key: whose key the orders come by.
        """
        shell = Shell(site.service_environ(environ))
        service = Service(site, shell)
        return cls(site, shell, Switching(site, service, Permission(site, shell), key), key)

    def orders(self) -> dict[str, tuple[type[msgspec.Struct], Callable[[Any], msgspec.Struct]]]:
        """Every order: what comes in, and what carries it out."""
        switching = self.switching
        return {
            "begin": (m.Begin, self.begin), "extend": (m.Extend, self.extend),
            "inspect": (m.Inspect, self.inspect), "check": (m.Check, switching.check),
            "switch": (m.Switch, switching.switch), "probe": (m.Probe, self.probe),
            "traffic": (m.Traffic, self.traffic), "confirm": (m.Held, switching.confirm),
            "back": (m.Back, switching.back), "end": (m.End, self.end),
            "status": (m.Nothing, self.status), "audit": (m.AuditWanted, self.audit),
            "approve": (m.Signed, self.approve), "lock": (m.Lock, self.lock),
            "unlock": (m.Unlock, self.unlock), "maintenance": (m.Maintenance, self.maintenance),
            "finish": (m.Finish, self.finish),
            "collect": (m.Collect, self.collect), "execute": (m.Execute, self.execute),
            "render": (m.Render, self.render),
        }  # fmt: skip

    def answer(self, order: str, message: bytes) -> m.Reply[msgspec.Struct]:
        """Carry out an order and say how that went; every failure becomes a refusal."""
        kind, carry_out = self.orders()[order]
        try:
            return m.Reply(answer=carry_out(msgspec.json.decode(message, type=kind)))
        except RefusedError as error:
            refusal = m.Refusal(error.code, error.reason)
        except msgspec.MsgspecError as error:
            refusal = m.Refusal("unknown", f"the order {order} is wrong: {error}")
        except AppError as error:
            refusal = m.Refusal("failed", str(error))
        except OSError as error:
            refusal = m.Refusal("failed", str(error))
            if error.errno in _FULL:
                refusal = m.Refusal("unfit", f"the disk is full; {_MAKE_ROOM}")
        return m.Reply(refusal=refusal)

    # ---- the lease

    def begin(self, order: m.Begin) -> m.Begun:
        """Give the lease, once what an earlier deployer left open is taken back."""
        try:
            begun = self._begin(order)
        except OSError as error:
            # With nobody let in, nobody could make room.
            if error.errno not in _FULL or not self.site.give_spare_up():
                raise
            return self._begin(order)
        self.site.lay_in_spare()
        return begun

    def _begin(self, order: m.Begin) -> m.Begun:
        held = lease.take(self.site, order)
        try:
            if self.switching.settle_left_open(order.deploy):
                held = lease.take(self.site, order)  # going back may have outlasted it
        except (AppError, OSError):
            lease.release(self.site, m.Held(held.fence, order.deploy))
            raise
        self._note("begin", order.by, order.deploy)
        confirmed = self.site.confirmed()
        last = confirmed[-1] if confirmed else None
        is_there = last is not None and last.path == self.site.current()
        unfinished = last is not None and is_there and not (last.complete or last.without)
        return m.Begun(
            held.fence, self.site.current(), unfinished, last.origin if last and unfinished else ""
        )

    def extend(self, order: m.Extend) -> m.Nothing:
        """Hold the lease, and the deadline of the switch, for longer."""
        lease.extend(self.site, order)
        return m.Nothing()

    def end(self, order: m.End) -> m.Nothing:
        """Let go of the lease."""
        lease.require_newest(self.site, order)
        if order.result == "complete":
            self.switching.complete(order.without)
        lease.release(self.site, order)
        without = f" without {', '.join(order.without)}" if order.without else ""
        self._note("end", order.by, order.deploy, result=f"{order.result}{without}")
        return m.Nothing()

    def finish(self, order: m.Finish) -> m.Finished:
        """Note that every host of the run is confirmed, then forget what need not be kept."""
        lease.require_newest(self.site, order)
        self.switching.complete(order.without)
        try:
            done = Retention(self.site, self.shell).forget(order)
        except (AppError, OSError) as error:
            return m.Finished([], 0, str(error))
        if done.paths:
            self._note("collect", order.by, order.deploy, result=", ".join(done.paths))
        return m.Finished(done.paths, done.freed_bytes)

    # ---- what is asked

    def inspect(self, order: m.Inspect) -> m.Inspected:
        """Say which paths are not here."""
        for path in order.paths:
            self.site.require_store_path(path)
        free_bytes = retention.free_bytes(self.site)
        try:
            missing = self.shell.run(argv.invalid(order.paths), timeout_s=60.0).split()
        except CommandError:  # on a full disk the store does not even answer
            missing = order.paths
        return m.Inspected(missing, free_bytes)

    def probe(self, order: m.Probe) -> m.Probed:
        """Say whether every worker runs a release and the service answers as it should."""
        name = self.site.release_file(order.path).name
        return m.Probed(self.switching.service.fault(name, order.smoke))

    def traffic(self, order: m.Traffic) -> m.TrafficSeen:
        """Say what clients got, before the switch and since."""
        return traffic.read(self.site, order.baseline_s)

    def status(self, _: m.Nothing) -> m.HostStatus:
        """Say how the host is."""
        site, path = self.site, self.site.current()
        release = site.release_file(path) if path else None
        held = site.lease()
        confirmed = site.confirmed()
        last = next((entry for entry in reversed(confirmed) if entry.path == path), None)
        found = self.switching.service.status()
        return m.HostStatus(
            environment=site.config().environment,
            path=path,
            release=found.release,
            commit=release.commit if release else "",
            fault=fault_of(found, release.name) if release else "nothing is deployed",
            since=last.at if last else 0.0,
            confirmed=confirmed,
            kept=retention.kept(site),
            free_bytes=retention.free_bytes(site),
            pending=site.pending(),
            lock=site.lock(),
            maintenance=site.maintenance.exists(),
            holder=held.by if sites.left_s(held.boot, held.deadline_s) > 0 else "",
            went_back=audit.went_back(site),
        )

    def audit(self, order: m.AuditWanted) -> m.Audited:
        """Show the audit log."""
        return audit.read(self.site, order.entries)

    def execute(self, order: m.Execute) -> m.Executed:
        """Run a command of the release, of those that change nothing."""
        if not order.words or order.words[0] not in EXECUTABLE:
            raise RefusedError(
                "unknown", f"only these can be run on hosts: {', '.join(EXECUTABLE)}"
            )
        if not self.site.current():
            raise RefusedError("unhealthy", "nothing is deployed here")
        code, output = run_release(self.shell, self.site.current(), order.words, 120.0)
        return m.Executed(code, output)

    def render(self, order: m.Render) -> m.Rendered:
        """Show what a release would change of the configuration, and of the settings."""
        from app.release.host.rendering import rendered

        # Its code is run for this, as the user who owns the records: only what may run here at all.
        self.switching.permission.require(order.path, order.release)
        return rendered(self.site, self.shell, order.path)

    # ---- what a person sets

    def approve(self, order: m.Signed) -> m.Nothing:
        """Keep an approval."""
        done = self.switching.permission.accept(order)
        approval = msgspec.json.decode(order.statement, type=dict[str, Any])
        self._note("approve", approval["by"], path=approval["path"], origin=approval["base"])
        return done

    def lock(self, order: m.Lock) -> m.Nothing:
        """Let nobody deploy."""
        with self.site.recording():
            lease.refuse_when_locked(self.site)
            order.at = time.time()
            self.site.write("lock", order)
        self._note("lock", order.by, reason=order.reason)
        return m.Nothing()

    def unlock(self, order: m.Unlock) -> m.Nothing:
        """Let people deploy again."""
        with self.site.recording():
            self.site.remove("lock")
        self._note("unlock", order.by)
        return m.Nothing()

    def maintenance(self, order: m.Maintenance) -> m.Nothing:
        """Close the service, or open it."""
        file = self.site.maintenance
        if order.on:
            file.touch()
        else:
            file.unlink(missing_ok=True)
        self._note("maintenance", order.by, result="on" if order.on else "off")
        return m.Nothing()

    def collect(self, order: m.Collect) -> m.Collected:
        """Forget releases."""
        done = Retention(self.site, self.shell).collect(order)
        if not order.dry_run:
            self._note("collect", order.by, order.deploy, result=", ".join(done.paths))
        return done

    def _note(self, action: str, by: str, deploy: str = "", **more: str) -> None:
        audit.append(self.site, m.AuditEntry("", action, by, deploy, key=self.key, **more))
