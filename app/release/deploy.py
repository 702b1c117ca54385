"""The way of a release to the hosts of an environment, and of all of them back: read it here.

::

    lease -> copy -> check -> (switch -> probe) by batches -> bake -> confirm -> collect -> end
                                 |                  |           |        |
                                 v                  v           v        v
                              back: every host that was switched, each to where it was found

Nothing is switched before every host has the release whole and says that it may and can run. A host
that is switched goes back by itself unless this run extends its deadline; so a run that is killed
needs nobody to clean up after it. What every host runs in the end is asked, not assumed.

A run that has lost the lease of a host, as it was asleep or cut off, gives that host no further
order: the host has gone back, or does so, by itself, and may be another run's by now. The run takes
back what it still holds and ends.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from app.errors import AppError, RefusedError, ReleaseError, UnreachableError
from app.release import fleet as fleets
from app.release import judge
from app.release import messages as m
from app.release.change import Outcome
from app.release.fleet import Fleet, Member, gather

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.release.change import Change
    from app.release.inventory import Environment
    from app.release.progress import Progress
    from app.release.remote import Remote

COPY_TIMEOUT_S = 1800.0
COLLECT_TIMEOUT_S = 900.0
_MARGIN_S = 30.0
_PROBES_S = 30.0
_POLL_S = 0.5
_BAKE_POLL_S = 2.0
_BACK_ATTEMPTS = 3
COMPLETE = "complete"


def carry_out(
    change: Change, environment: Environment, remotes: Sequence[Remote], progress: Progress,
    go_on_undisturbed: Callable[[], None],
) -> Outcome:  # fmt: skip
    """Bring a release to every host, or every host back to where it was.

    Args:
        change: what is to be done.
        environment: where.
        remotes: its hosts, in order.
        progress: is told of every step.
        go_on_undisturbed: called when from then on no signal may interrupt: what was decided by
            then is carried to its end on every host.

    Raises:
        RefusedError: the lease cannot be had; nothing was touched.
        UnreachableError: a host cannot be reached; nothing was touched.
    """
    with fleets.under_lease(environment, remotes, change.deploy, change.by, progress) as fleet:
        try:
            _prepare(fleet, change)
            for batch in fleet.batches():
                _switch(fleet, change, batch)
            _bake(fleet)
            _confirm(fleet)
            go_on_undisturbed()
        except BaseException as error:
            go_on_undisturbed()
            outcome = _failed(fleet, change, error)
            if not isinstance(error, (AppError, KeyboardInterrupt)):
                raise
            return outcome
        return _completed(fleet, change)


# ---- the way there


def _prepare(fleet: Fleet, change: Change) -> None:
    """Have the release whole on every host, and every host say that it may and can run."""
    if not change.is_rollback:
        fleet.each(fleet.members, "copy", lambda one: _copy(fleet, change, one))
        signed = change.release or m.Signed("", "")
        fleet.each(
            fleet.members, "check",
            lambda one: one.remote.ask(
                "check", m.Check(one.fence, fleet.deploy, change.path, signed), m.Nothing,
                2 * fleet.environment.start_timeout_s + _MARGIN_S,
            ),
        )  # fmt: skip
    fleet.require_all()


def _copy(fleet: Fleet, change: Change, member: Member) -> None:
    """Send what a host lacks, unless that cannot fit."""
    found = member.remote.ask("inspect", m.Inspect(sorted(change.sizes)), m.Inspected, 120.0)
    to_send = sum(change.sizes[path] for path in found.missing)
    if to_send >= found.free_bytes:
        raise RefusedError(
            "unfit",
            f"the disk is full: {to_send / 2**20:.1f} MB are to be sent, and "
            f"{found.free_bytes / 2**20:.1f} MB are free; make room with: windlass gc "
            f"{fleet.environment.name}",
        )
    if found.missing:
        member.remote.copy(change.path, COPY_TIMEOUT_S)


def _switch(fleet: Fleet, change: Change, batch: Sequence[Member]) -> None:
    """Switch some hosts and see that every worker of each runs the release and serves."""
    fleet.require_all()
    there = [one for one in batch if _is_there(fleet, change, one)]
    for one in there:
        fleet.progress.say("switch", "runs this release already", one.name)
    fleet.each([one for one in batch if one not in there], "switch",
               lambda one: _switch_one(fleet, change, one))  # fmt: skip
    fleet.each(batch, "probe", lambda one: _probe_until_well(fleet, change.path, one))


def _switch_one(fleet: Fleet, change: Change, member: Member) -> None:
    # From here on the host may have been switched, whatever becomes of the answer.
    member.switched = True
    order = m.Switch(
        member.fence, fleet.deploy, change.path, float(fleet.environment.window_s), change.by,
        change.reason, change.is_rollback, change.release,
    )  # fmt: skip
    # The host may take the time for the way there and for the way back.
    timeout_s = 2 * fleet.environment.start_timeout_s + _MARGIN_S
    member.remote.ask("switch", order, m.Switched, timeout_s)


def _probe_until_well(fleet: Fleet, path: str, member: Member) -> None:
    """Return when every worker reports the release and the smoke tests pass, all in one probe."""
    deadline = time.monotonic() + _PROBES_S
    while fault := _probe(fleet, path, member):
        if time.monotonic() >= deadline:
            raise ReleaseError(fault)
        time.sleep(_POLL_S)


def _probe(fleet: Fleet, path: str, member: Member) -> str:
    smoke = [m.SmokeTest(s.path, s.status, s.contains) for s in fleet.environment.smoke]
    return member.remote.ask("probe", m.Probe(path, smoke), m.Probed).fault


def _is_there(fleet: Fleet, change: Change, member: Member) -> bool:
    return member.found == change.path and not _probe(fleet, change.path, member)


def _bake(fleet: Fleet) -> None:
    """Watch what clients get for the bake time; end at once when it is worse than before."""
    bake = fleet.environment.bake
    switched = [member for member in fleet.members if member.switched]
    if not bake.seconds or not switched:
        return
    ask = m.Traffic(float(bake.baseline_s))
    with fleet.progress.step("bake", "", f"{bake.seconds} s"):
        deadline = time.monotonic() + bake.seconds
        while time.monotonic() < deadline:
            time.sleep(min(_BAKE_POLL_S, max(0.0, deadline - time.monotonic())))
            fleet.require_all()
            seen = gather(switched, lambda one: one.remote.ask("traffic", ask, m.TrafficSeen))
            for member, traffic in zip(switched, seen, strict=True):
                if fault := judge.fault(traffic, bake):
                    raise ReleaseError(f"{member.name}: {fault}")
            if fault := judge.fault(judge.together(seen), bake):
                raise ReleaseError(fault)
            if all(traffic.closed for traffic in seen):
                fleet.progress.say(
                    "bake", "closed for maintenance: clients' requests say no more of it"
                )
                return


def _confirm(fleet: Fleet) -> None:
    """Make it final on every host: each looks at its health once more, over a new connection."""
    fleet.require_all()
    fleet.each(
        [member for member in fleet.members if member.switched], "confirm",
        lambda one: _confirm_one(fleet, one),
    )  # fmt: skip


def _confirm_one(fleet: Fleet, member: Member) -> None:
    # From here on the host may stay there for good, whatever becomes of the answer.
    member.confirming = True
    member.remote.ask("confirm", m.Held(member.fence, fleet.deploy), m.Nothing)


# ---- the way back


def _take_back(fleet: Fleet, change: Change, reason: str) -> None:
    """Take every host back that this run switched, and what an unfinished run had switched."""
    for member in fleet.members:
        if member.lost:
            fleet.progress.say("back", f"{member.lost}; it is left alone", member.name)
    touched = [one for one in fleet.held() if one.switched]
    left = [one for one in _half_way(fleet, change) if not one.lost and not one.switched]

    def back(member: Member) -> None:
        order = m.Back(member.fence, fleet.deploy, change.by, reason)
        _persist(lambda: member.remote.ask(
            "back", order, m.At, 3 * fleet.environment.start_timeout_s + _MARGIN_S
        ))  # fmt: skip

    for members, how in ((touched, back), (left, lambda one: _undo_unfinished(fleet, change, one))):
        try:
            fleet.each(members, "back", how)
        except AppError as error:
            fleet.progress.say("back", str(error))


def _half_way(fleet: Fleet, change: Change) -> list[Member]:
    """The hosts that an unfinished run had brought to this release, while others never got it.

    Where one host knows that the run was complete, every host had it: then it stays.
    """
    there = [one for one in fleet.members if one.found == change.path]
    if any(not one.unfinished for one in there):
        return []
    return [one for one in there if one.origin]


def _undo_unfinished(fleet: Fleet, change: Change, member: Member) -> None:
    order = m.Switch(
        member.fence, fleet.deploy, member.origin, float(fleet.environment.window_s), change.by,
        "an earlier run that reached only some hosts is taken back", rollback=True,
    )  # fmt: skip
    member.undone = True
    timeout_s = 2 * fleet.environment.start_timeout_s + _MARGIN_S
    member.remote.ask("switch", order, m.Switched, timeout_s)
    _probe_until_well(fleet, member.origin, member)
    member.remote.ask("confirm", m.Held(member.fence, fleet.deploy), m.Nothing)


def _persist(attempt: Callable[[], object]) -> None:
    for number in range(_BACK_ATTEMPTS):
        try:
            attempt()
        except AppError as error:
            is_lost = isinstance(error, RefusedError) and error.code == fleets.FENCE
            if is_lost or number == _BACK_ATTEMPTS - 1:
                raise
            time.sleep(_POLL_S)
        else:
            return


# ---- the truth


def _failed(fleet: Fleet, change: Change, error: BaseException) -> Outcome:
    """Take back what was done; the outcome with that."""
    fault = str(error) or type(error).__name__
    if isinstance(error, KeyboardInterrupt):
        fault = "interrupted"
        fleet.progress.say("back", "told to end: every host goes back to where it was found")
    _take_back(fleet, change, fault)
    outcome = _outcome(fleet, change, fault)
    fleets.end(fleet, f"failed: {fault}")
    return outcome


def _outcome(fleet: Fleet, change: Change, fault: str) -> Outcome:
    was_switched = any(member.switched or member.undone for member in fleet.members)
    half_way = _half_way(fleet, change)

    def truth(member: Member) -> tuple[str, bool]:
        before = member.origin if member in half_way else member.found
        wanted = before if fault else change.path
        return _truth(fleet, member, wanted, _expected(fleet, change, member, fault))

    found = gather(fleet.members, truth)
    return Outcome(
        fault,
        was_switched,
        {one.name: text for one, (text, _) in zip(fleet.members, found, strict=True)}
        | dict.fromkeys(fleet.environment.without, "was left out; nothing is known of it"),
        all(right for _, right in found),
        tuple(one.name for one in fleet.members if one.lost),
        fleet.environment.without,
    )


def _completed(fleet: Fleet, change: Change) -> Outcome:
    """Have every host note that all of them run the release; the outcome with that."""
    _collect(fleet)
    untold = fleets.end(fleet, COMPLETE)
    outcome = _outcome(fleet, change, "")
    again = "; it does not know that every host has it: run the same again"
    hosts = {
        name: f"{text}{again}" if name in untold else text for name, text in outcome.hosts.items()
    }
    return replace(outcome, hosts=hosts, all_as_wanted=outcome.all_as_wanted and not untold)


def _collect(fleet: Fleet) -> None:
    """Have every host note that the run is complete, and forget what it need not keep any more.

    What of that fails is said and changes nothing: `end` tells the hosts once more.
    """

    def finish(member: Member) -> None:
        order = m.Finish(member.fence, fleet.deploy, fleet.by, list(fleet.environment.without))
        done = member.remote.ask("finish", order, m.Finished, COLLECT_TIMEOUT_S)
        if done.fault:
            fleet.progress.say("collect", done.fault, member.name)
        for path in done.paths:
            fleet.progress.say("collect", f"{path} is no longer kept", member.name)

    try:
        fleet.each(fleet.held(), "collect", finish)
    except AppError as error:
        fleet.progress.say("collect", str(error))


def _expected(fleet: Fleet, change: Change, member: Member, fault: str) -> str:
    """What becomes of a host that does not say what it runs."""
    if member.confirming and not fault:
        return f"it was confirmed with {change.path}"
    if member.confirming:
        return f"it may be confirmed with {change.path}, and then stays there: run the same again"
    if member.switched:
        return f"it goes back by itself within {fleet.environment.window_s} s"
    if member.undone:
        return "what an earlier run had left there was being taken back"
    return "it was not switched"


def _truth(fleet: Fleet, member: Member, wanted: str, expected: str) -> tuple[str, bool]:
    """What a host runs now, and whether that is what it should."""
    try:
        status = member.remote.ask("status", m.Nothing(), m.HostStatus)
    except AppError as error:
        member.is_silent = isinstance(error, UnreachableError)
        return f"unknown ({error}); {expected}", False
    at = status.path or "nothing"
    if status.pending is not None and status.pending.deploy != fleet.deploy:
        return f"{at}, which {status.pending.by} is deploying ({status.pending.deploy})", False
    if status.pending is not None:
        return f"{at}, unconfirmed; it goes back to {status.pending.origin or 'nothing'}", False
    if status.fault and status.path:
        return f"{at}, but: {status.fault}", False
    return at, status.path == wanted
