"""What a process has for telemetry: one of each, as it has one log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from app.telemetry.meter import NOBODY, Meter
from app.telemetry.trace import PassOn, Tracer

if TYPE_CHECKING:
    from app.telemetry.board import Deployment, Event, Release, Worker
    from app.telemetry.memory import Memory


@dataclass(frozen=True, slots=True)
class CrewSeen:
    """What the master says of itself and its workers.

    Attributes:
        since: when it came up first, wall clock.
        pid: of the master.
        orphans: how many workers of a killed master serve until these are proven.
    """

    since: float
    pid: int
    release: Release
    workers: list[Worker]
    events: list[Event]
    orphans: int = 0


class Sources(Protocol):
    """Where the board finds what is not counted."""

    def crew(self) -> CrewSeen | None:
        """What the master says; None where there is none."""

    def deployments(self) -> list[Deployment]:
        """The last entries of the record of releases, newest first."""


class Nowhere:
    """The sources of a process that serves alone."""

    def crew(self) -> CrewSeen | None:
        """There is no master."""

    def deployments(self) -> list[Deployment]:
        """There is no record."""
        return []


@dataclass(frozen=True, slots=True)
class Station:
    """All of it.

    Attributes:
        meter: counts.
        memory: what all processes count in; None where nothing is counted.
        tracer: takes spans.
        sources: of the board.
    """

    meter: Meter = NOBODY
    memory: Memory | None = None
    tracer: Tracer = field(default_factory=PassOn)
    sources: Sources = field(default_factory=Nowhere)


_installed = Station()


def install(station: Station) -> None:
    """Make this the process's own; before the application is made."""
    global _installed  # noqa: PLW0603 - a process has one, as it has one log
    _installed = station


def installed() -> Station:
    """That of this process."""
    return _installed
