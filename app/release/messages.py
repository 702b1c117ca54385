"""What the deployer and the host agent say to each other: JSON, one order and one answer per call.

A host may run an older or newer agent than its deployer: what one side does not know is left out,
and what one lacks has its default.
"""

from __future__ import annotations

from datetime import datetime
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")
DEPLOY_KEY = "deploy"
"""By which audit logs call the deploy key; no approver may have this name."""


class Refusal(msgspec.Struct):
    """Why a host does not do what it was asked; see `app.errors.RefusedError`."""

    code: str
    reason: str


class Reply(msgspec.Struct, Generic[T], omit_defaults=True):
    """The answer to an order: what was asked for, or a refusal."""

    answer: T | None = None
    refusal: Refusal | None = None


class Nothing(msgspec.Struct):
    """An order or an answer without content."""


class Begin(msgspec.Struct):
    """Ask for the lease of a host.

    Attributes:
        deploy: id of the run, which each of its hosts records.
        by: who asks.
        window_s: seconds for which the lease holds, unless it is extended.
    """

    deploy: str
    by: str
    window_s: float


class Held(msgspec.Struct):
    """An order of somebody who holds the lease: `fence` is what `begin` gave him."""

    fence: int
    deploy: str


class Extend(Held):
    """Hold the lease, and the time until a switch is taken back, for longer from now on."""

    window_s: float


class Inspect(msgspec.Struct):
    """Ask which of these store paths a host lacks."""

    paths: list[str]


class Inspected(msgspec.Struct):
    """The paths that are not there, and the bytes that are free in the store's file system."""

    missing: list[str]
    free_bytes: int


class Signed(msgspec.Struct):
    """A statement and an ssh signature of it, both as text."""

    statement: str
    signature: str


class Check(Held):
    """Ask whether a release may and can run on a host; nothing is switched."""

    path: str
    release: Signed


class Switch(Held):
    """Switch to a release.

    Attributes:
        path: of the release.
        window_s: seconds until the host goes back, unless it is confirmed or extended.
        by: who wants it.
        reason: why.
        rollback: whether this returns to a release that was confirmed here before.
        release: its signature; not needed for a rollback.
    """

    path: str
    window_s: float
    by: str
    reason: str
    rollback: bool = False
    release: Signed | None = None


class Switched(msgspec.Struct):
    """Where a host came from, and how long it took, in seconds."""

    origin: str
    seconds: float


class SmokeTest(msgspec.Struct):
    """One request, as `app.release.inventory.Smoke`."""

    path: str
    status: int
    contains: str


class Probe(msgspec.Struct):
    """Ask whether every worker runs a release and the service answers as it should."""

    path: str
    smoke: list[SmokeTest]


class Probed(msgspec.Struct):
    """What is wrong; empty: nothing."""

    fault: str


class Traffic(msgspec.Struct):
    """Ask for the traffic since the last switch, and before it."""

    baseline_s: float


class Window(msgspec.Struct):
    """The requests of some time.

    Attributes:
        requests: how many were answered.
        errors: how many of them with 5xx.
        durations: how many took how long: the key is the bucket, see `app.release.judge`.
    """

    requests: int = 0
    errors: int = 0
    durations: dict[int, int] = {}


class TrafficSeen(msgspec.Struct):
    """The traffic before the last switch, and since, in slices of equal length.

    Attributes:
        closed: whether the service is closed for maintenance, so that clients show nothing.
    """

    before: Window
    after: list[Window]
    seconds: float
    closed: bool = False


class Back(Held):
    """Go back to where this run found the host."""

    by: str
    reason: str


class At(msgspec.Struct):
    """The release that a host is set to now."""

    path: str


class End(Held):
    """Let go of the lease; `result` goes to the audit log, with the hosts that were left out."""

    by: str
    result: str
    without: list[str] = []


class Pending(msgspec.Struct):
    """A switch that nobody has confirmed yet: what the host goes back to, and by when.

    Attributes:
        origin: store path to go back to; empty: there was none.
        path: that is being tried.
        boot: the kernel's name for the boot in which `deadline_s` counts.
        deadline_s: seconds on the clock that starts with that boot and counts sleep.
        at: wall clock of the switch, seconds since the epoch.
        attempts: how often going back has failed.
    """

    deploy: str
    fence: int
    origin: str
    path: str
    boot: str
    deadline_s: float
    at: float
    by: str
    reason: str
    attempts: int = 0


class Lease(msgspec.Struct):
    """Who may change a host, and until when; `deadline_s` as in `Pending`, 0: nobody."""

    fence: int
    deploy: str = ""
    by: str = ""
    boot: str = ""
    deadline_s: float = 0.0


class Lock(msgspec.Struct):
    """Nobody may deploy until it is taken away: by whom, why, since when (wall clock)."""

    by: str
    reason: str
    at: float


class Unlock(msgspec.Struct):
    """Take the lock away."""

    by: str


class Confirmed(msgspec.Struct):
    """A release that was confirmed on a host.

    Attributes:
        origin: what ran before it.
        at: wall clock, seconds since the epoch.
        complete: whether every other host of the environment was confirmed, too.
        without: the hosts that were left out, where every other one was.
    """

    path: str
    name: str
    commit: str
    origin: str
    deploy: str
    by: str
    at: float
    complete: bool = False
    without: list[str] = []


class Begun(msgspec.Struct):
    """The lease of a host.

    Attributes:
        fence: to be shown with each order that changes something.
        path: of the release that the host is set to; empty: none.
        unfinished: whether that came by a run that did not reach all of its hosts.
    """

    fence: int
    path: str
    unfinished: bool = False
    origin: str = ""


class AuditEntry(msgspec.Struct):
    """One line of a host's audit log.

    Attributes:
        at: wall clock, as ISO 8601 in UTC.
        action: begin, switch, confirm, back, end, lock, unlock, maintenance, approve, collect.
        by: who it was, as their machine says.
        chain: SHA-256 of the line before and this entry: one that is changed or left out shows.
        key: whose key the order came by, as `windlass setup` told this host; empty: by none, as
            what the host does by itself.
    """

    at: str
    action: str
    by: str
    deploy: str = ""
    origin: str = ""
    path: str = ""
    reason: str = ""
    result: str = ""
    chain: str = ""
    key: str = ""

    @property
    def timestamp(self) -> float:
        """`at` in seconds since the epoch."""
        return datetime.fromisoformat(self.at).timestamp()


class HostStatus(msgspec.Struct):
    """All that is known of a host.

    Attributes:
        path: of the release that it is set to.
        release: name of what the workers say that they run.
        fault: why it is not healthy; empty: it is.
        since: wall clock since when the release is confirmed; 0: it is not.
        confirmed: releases that were confirmed, newest last.
        kept: paths that are kept here, and so may be rolled back to.
        maintenance: whether the service is closed.
        holder: who deploys now; empty: nobody.
        went_back: how the last release was taken back that was tried since the last confirmation.
    """

    environment: str
    path: str
    release: str
    commit: str
    fault: str
    since: float
    confirmed: list[Confirmed]
    kept: list[str]
    free_bytes: int
    pending: Pending | None = None
    lock: Lock | None = None
    maintenance: bool = False
    holder: str = ""
    went_back: AuditEntry | None = None


class AuditWanted(msgspec.Struct):
    """Ask for the last entries of the audit log."""

    entries: int


class Audited(msgspec.Struct):
    """The last entries, and what is wrong with the whole log; empty: nothing."""

    entries: list[AuditEntry]
    fault: str


class Maintenance(msgspec.Struct):
    """Close the service, or open it."""

    on: bool
    by: str


class Collect(Held):
    """Forget releases that need not be kept; says what would be when `dry_run`."""

    by: str
    dry_run: bool = False


class Finish(Held):
    """Every host of the run is confirmed: note that, and forget releases that need not be kept."""

    by: str
    without: list[str] = []


class Finished(msgspec.Struct):
    """The paths that are no longer kept, the bytes that came free; and why not, if so."""

    paths: list[str]
    freed_bytes: int
    fault: str = ""


class Collected(msgspec.Struct):
    """The paths that are no longer kept, and the bytes that came free."""

    paths: list[str]
    freed_bytes: int


class Execute(msgspec.Struct):
    """Run a command of the release on a host."""

    words: list[str]


class Executed(msgspec.Struct):
    """How it ended, and what it printed."""

    code: int
    output: str


class Render(msgspec.Struct):
    """Ask for what a release would change in the rendered configuration."""

    path: str
    release: Signed


class Rendered(msgspec.Struct):
    """Differences, as `diff -u` shows them; and the settings that are new."""

    difference: str
    new_settings: list[str]
    unknown_settings: list[str]
