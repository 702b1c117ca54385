"""The hosts of an environment under one lease each, for as long as a run lasts.

The leases are taken one after the other, in the order of deploy.toml, so that of two deployers the
one that has the first host gets all. While a run goes on, it extends them, and with them the
deadline of each switch; when it can no longer, or dies, the hosts go back.

A lease that is lost stays lost: a host that says so once is given no further order, and the run
ends.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from app.errors import AppError, RefusedError, ReleaseError, UnreachableError
from app.release import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from app.release.inventory import Environment
    from app.release.progress import Progress
    from app.release.remote import Extend, Remote

_Found = TypeVar("_Found")
_Member = TypeVar("_Member", "Member", "Remote")
FENCE = "fence"
"""The code of a refusal because the lease is over."""
HOW_TO_LEAVE_OUT = "A host that is down for longer is left out by: --without HOST"
_BEATS_A_WINDOW = 4
_MOST_AT_ONCE = 16
_END_AGAIN_S = 0.1


@dataclass(slots=True)
class Member:
    """One host under lease.

    Attributes:
        remote: the way to it.
        fence: shown with each order.
        found: the release that it was set to when the run began; empty: none.
        unfinished: whether an earlier run brought that one here and not to every host.
        origin: what ran before that unfinished one.
        switched: whether this run has begun to switch it.
        confirming: whether it was asked to make that final, and so may have.
        undone: whether this run has begun to take back what an unfinished one had left there.
        lost: what it said of the end of this run's lease; empty: the lease holds, for all we know.
        is_silent: whether it could not be reached when it was asked last.
    """

    remote: Remote
    fence: int
    found: str
    unfinished: bool = False
    origin: str = ""
    switched: bool = False
    confirming: bool = False
    undone: bool = False
    lost: str = ""
    is_silent: bool = False

    @property
    def name(self) -> str:
        """Of the host."""
        return self.remote.name

    def end_commands(self) -> None:
        """End the commands that are waited for; an order that the host has goes on there."""
        self.remote.end_commands()


@dataclass(frozen=True, slots=True)
class Fleet:
    """The hosts of a run.

    Attributes:
        deploy: id of the run.
        by: who runs it.
    """

    environment: Environment
    deploy: str
    by: str
    members: list[Member]
    progress: Progress
    _ended: threading.Event = field(default_factory=threading.Event)

    def each(
        self, members: Sequence[Member], step: str, action: Callable[[Member], _Found]
    ) -> list[_Found]:
        """Do something on each of some hosts at once, as a step of each.

        Raises:
            ReleaseError: it failed somewhere; names every host and its reason.
        """

        def told(member: Member) -> _Found:
            with self.progress.step(step, member.name), noticing_loss(member):
                return action(member)

        return gather(members, told)

    def batches(self) -> Iterator[list[Member]]:
        """The hosts, in the groups in which they are switched."""
        size = self.environment.batch
        for start in range(0, len(self.members), size):
            yield self.members[start : start + size]

    def require_all(self) -> None:
        """Raise when a lease is lost."""
        for member in self.members:
            if member.lost:
                raise RefusedError(FENCE, f"{member.name}: {member.lost}")

    def held(self) -> list[Member]:
        """The hosts that may still be given orders."""
        return [member for member in self.members if not member.lost]

    def add(self, member: Member) -> None:
        """Hold a host's lease from now on, by a thread of its own: another may not answer."""
        self.members.append(member)
        threading.Thread(target=self._beat, args=(member,), daemon=True).start()

    def _beat(self, member: Member) -> None:
        with member.remote.extending() as extend:
            while not self._ended.wait(self.environment.window_s / _BEATS_A_WINDOW):
                if member.lost:
                    return
                self._extend(member, extend)

    def _extend(self, member: Member, extend: Extend) -> None:
        order = m.Extend(member.fence, self.deploy, float(self.environment.window_s))
        try:
            with noticing_loss(member):
                extend(order, self.environment.window_s / 3)
        except AppError as error:
            # The next beat may get through; the host itself decides when it has been too long.
            if not self._ended.is_set():
                self.progress.say("lease", str(error), member.name)

    def stop_beating(self) -> None:
        """Extend no lease any more."""
        self._ended.set()


@contextmanager
def under_lease(
    environment: Environment, remotes: Sequence[Remote], deploy: str, by: str, progress: Progress
) -> Iterator[Fleet]:
    """Hold the lease of every host for as long as the block lasts.

    Raises:
        RefusedError: a host is locked, or another deployer has it.
    """
    fleet = Fleet(environment, deploy, by, [], progress)
    try:
        with progress.step("lease"):
            for remote in remotes:
                fleet.add(_begin(fleet, remote))
    except BaseException:
        end(fleet, "another host refused")
        raise
    try:
        yield fleet
    finally:
        fleet.stop_beating()


def end(fleet: Fleet, result: str) -> list[str]:
    """Let go of every lease that is held; one that cannot be let go of runs out.

    Returns:
        the names of the hosts that were not told the result.
    """
    fleet.stop_beating()

    def was_told(member: Member) -> bool:
        if member.lost or member.is_silent:
            return False
        order = m.End(member.fence, fleet.deploy, fleet.by, result, list(fleet.environment.without))
        try:
            with noticing_loss(member):
                member.remote.ask("end", order, m.Nothing)
        except AppError as error:
            fleet.progress.say("end", str(error), member.name)
            return False
        return True

    told = gather(fleet.members, was_told)
    return [one.name for one, was in zip(fleet.members, told, strict=True) if not was]


@contextmanager
def noticing_loss(member: Member) -> Iterator[None]:
    """Note it when a host says that it no longer takes this run's orders."""
    try:
        yield
    except RefusedError as error:
        if error.code == FENCE:
            member.lost = str(error)
        raise


def gather(members: Sequence[_Member], action: Callable[[_Member], _Found]) -> list[_Found]:
    """Do something for each of some hosts at once and wait for all of them.

    When that is interrupted, the commands that it waits for are ended: some take half an hour.

    Raises:
        ReleaseError: it failed somewhere; names every host and its reason.
    """
    with ThreadPoolExecutor(_MOST_AT_ONCE) as pool:
        futures = [pool.submit(action, member) for member in members]
        try:
            wait(futures)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            while wait(futures, _END_AGAIN_S).not_done:
                for member in members:
                    member.end_commands()
            raise
        faults = [
            (member, error)
            for member, future in zip(members, futures, strict=True)
            if (error := future.exception()) is not None
        ]
    for _, error in faults:
        if not isinstance(error, AppError):
            raise error
    if faults:
        told = "; ".join(_named(member.name, error) for member, error in faults)
        raise ReleaseError(told) from faults[0][1]
    return [future.result() for future in futures]


def _named(name: str, error: BaseException) -> str:
    text = str(error)
    return text if text.startswith(name) else f"{name}: {text}"


def _begin(fleet: Fleet, remote: Remote) -> Member:
    order = m.Begin(fleet.deploy, fleet.by, float(fleet.environment.window_s))
    try:
        begun = remote.ask("begin", order, m.Begun, fleet.environment.start_timeout_s)
    except RefusedError as error:
        raise RefusedError(error.code, f"{remote.name}: {error.reason}") from error
    except UnreachableError as error:
        raise UnreachableError(f"{error}\n{HOW_TO_LEAVE_OUT}") from error
    return Member(remote, begun.fence, begun.path, begun.unfinished, begun.origin)
