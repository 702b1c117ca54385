"""What a master is told: what to run, how long to wait, and when to replace a worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from app.process.worker import WorkerContext


@dataclass(frozen=True, slots=True)
class Recycling:
    """When a worker is replaced although nothing is wrong with it; 0 is never.

    Attributes:
        age_s: seconds after it became ready.
        requests: that it has served.
        memory_bytes: its proportional share of memory (PSS).
    """

    age_s: float = 0.0
    requests: int = 0
    memory_bytes: int = 0

    @property
    def is_wanted(self) -> bool:
        """Whether there is any limit."""
        return bool(self.age_s or self.requests or self.memory_bytes)


@dataclass(frozen=True, slots=True)
class MasterOptions:
    """What a master is told.

    Attributes:
        run_dir: folder of the workers' sockets and of the status file.
        workers: how many there are.
        release: name of the release that runs.
        run_worker: serves in a forked child until SIGTERM, then drains and returns.
        command: the program that this master is, by a path that stays what it is.
        newest: finds the program that an upgrade executes, by a path that stays what it is. Raises
            OSError where there is none.
        start_timeout_s: seconds a worker may take to become ready.
        drain_timeout_s: seconds a worker may take to finish after SIGTERM.
        environ: of this process.
        settings: in force, as texts by name.
        heartbeat_timeout_s: seconds after which a worker whose event loop stands still is killed;
            0 is never.
        probation_s: seconds that new workers must stay alive before the old ones are let go.
        standby_s: seconds that old workers are kept for a way back after an upgrade; 0 is none.
        recycling: when a worker is replaced.
        metrics: whether the processes count what they do.
    """

    run_dir: Path
    workers: int
    release: str
    run_worker: Callable[[WorkerContext], None]
    command: tuple[str, ...]
    newest: Callable[[], tuple[str, ...]]
    start_timeout_s: float
    drain_timeout_s: float
    environ: Mapping[str, str]
    settings: Mapping[str, str] = field(default_factory=dict)
    heartbeat_timeout_s: float = 30.0
    probation_s: float = 0.0
    standby_s: float = 0.0
    recycling: Recycling = field(default_factory=Recycling)
    metrics: bool = True

    @property
    def status_path(self) -> Path:
        """File in which the master says how it is."""
        return self.run_dir / "master.json"

    def socket_path(self, slot: int) -> Path:
        """Where the worker of a slot listens."""
        return self.run_dir / f"worker-{slot}.sock"


SERVE, CHECK = "serve", "check"
"""Arguments of a release's program: be the master, and say whether the release is fit to serve."""
