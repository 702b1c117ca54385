"""What a run is to do to the hosts of an environment, and how it went."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.release import messages as m


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done.

    Attributes:
        deploy: id of the run.
        path: store path of the release.
        by: who wants it.
        reason: why.
        release: the builder's signature of the path; None for a rollback.
        is_rollback: whether to return to a release that was confirmed on the hosts before.
        sizes: bytes of each store path that the release needs; of a rollback none.
    """

    deploy: str
    path: str
    by: str
    reason: str
    release: m.Signed | None
    is_rollback: bool = False
    sizes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went.

    Attributes:
        fault: why the change was taken back or never made; empty: every host runs it.
        was_switched: whether any host was.
        hosts: what each host is set to now, for people.
        all_as_wanted: whether every host is where this outcome says that it should be.
        lost: the hosts whose lease this run lost.
        without: the hosts that were left out; the outcome is of the others.
    """

    fault: str
    was_switched: bool
    hosts: dict[str, str]
    all_as_wanted: bool
    lost: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    @property
    def event(self) -> str:
        """What notifications call it: only what is true of every host is more than `failed`."""
        if not self.all_as_wanted:
            return "failed"
        if not self.fault:
            return "succeeded"
        return "rolled-back" if self.was_switched else "failed"

    @property
    def reason(self) -> str:
        """Why it is not `succeeded`; empty: it is."""
        if self.all_as_wanted:
            return self.fault
        if self.fault:
            return f"{self.fault}; NOT every host is known to be back"
        return "it was confirmed, but not every host is known to be well"
