"""The faults, by name: a title, and a function that does it and returns an `Outcome`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.chaos.faults import (
    bad_releases,
    blocked,
    clock,
    descriptors,
    full_disk,
    kills,
    redis,
    slow_clients,
    soak,
    upgrades,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.chaos.verdicts import Outcome


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        run: does it; the argument says whether in the long form.
    """

    title: str
    run: Callable[[bool], Outcome]


FAULTS = {
    "upgrades": Fault("Upgrades and ways back", upgrades.run),
    "restart": Fault("A restart by supervisorctl, the control", upgrades.restart),
    "worker-kills": Fault("SIGKILL of random workers", kills.workers),
    "master-kill": Fault("SIGKILL of the master", kills.master),
    "bad-releases": Fault("Releases that are not fit to serve", bad_releases.run),
    "redis": Fault("Redis killed, stopped, full and slow", redis.run),
    "blocked": Fault("Event loops that stand still", blocked.run),
    "overload": Fault("Twice the CPU that there is", blocked.overload),
    "slow-clients": Fault("Slow clients", slow_clients.run),
    "soak": Fault("Memory over time, with upgrades", soak.run),
    "descriptors": Fault("No file descriptor left in a worker", descriptors.run),
    "full-disk": Fault("A full disk under the logs", full_disk.run),
    "clock": Fault("The clock set an hour off", clock.run),
}
