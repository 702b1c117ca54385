"""Part `memory`: what a worker holds after load, with two workers."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from benchmarks.peers import servers as catalogue
from benchmarks.peers.goals import Goal, Part
from benchmarks.peers.processes import pss_mib, tree, workers
from benchmarks.peers.servers import LIMIT, PEERS, TITLES, WINDLASS
from benchmarks.peers.turns import failures, load, send, wrong_answers
from benchmarks.report import Section, Table

if TYPE_CHECKING:
    from benchmarks.peers.generator import Outcome
    from benchmarks.peers.servers import Server
    from benchmarks.peers.session import Session

WORKERS = 2
_HOW = (
    f"Proportional set size (smaps_rollup) with {WORKERS} workers, once all paths have had their "
    "load. One server ran at a time, and no load generator: what they share with it would count "
    "for less. The rest is the server's first process, and Python's helper where there is one."
)


@dataclass(frozen=True, slots=True)
class Memory:
    """What a server holds, in MiB.

    Attributes:
        by_worker: of each worker.
        rest: of its other processes.
    """

    by_worker: list[float]
    rest: float

    @property
    def per_worker(self) -> float:
        """Mean of the workers."""
        return fmean(self.by_worker)

    @property
    def total(self) -> float:
        """Of all its processes."""
        return sum(self.by_worker) + self.rest


def measure(session: Session) -> Part:
    """Load every server but the limit and read its memory."""
    names = [name for name in session.servers if name != LIMIT]
    found: dict[str, Memory] = {}
    wrong: list[str] = []
    outcomes: dict[tuple[str, str], list[Outcome]] = {}
    with session.progress.steps("memory", len(names)) as step:
        for name in names:
            with catalogue.with_workers(name, session, WORKERS) as server:
                wrong += wrong_answers({name: server}, session)
                for path in session.paths:
                    outcomes[name, path] = [send(load(server, path, session, None))]
                found[name] = read(server)
            step()
    section = Section(
        "memory",
        f"Memory with {WORKERS} workers",
        [_HOW],
        [_table(found)],
        found,
        wrong + failures(outcomes),
    )
    return Part(section, _goals(found))


def read(server: Server) -> Memory:
    """Read the memory of a server's processes."""
    serving = workers(server.process)
    rest = [process for process in tree(server.process) if process not in serving]
    return Memory([pss_mib(process) for process in serving], sum(map(pss_mib, rest)))


def _table(found: dict[str, Memory]) -> Table:
    rows = [
        (TITLES[name], f"{m.per_worker:.1f}", f"{m.rest:.1f}", f"{m.total:.1f}")
        for name, m in found.items()
    ]
    return Table(("MiB", "per worker", "the rest", "all"), rows)


def _goals(found: dict[str, Memory]) -> list[Goal]:
    peers = {name: found[name].per_worker for name in PEERS if name in found}
    if WINDLASS not in found or not peers:
        return []
    leanest = min(peers, key=lambda name: peers[name])
    ours, least = found[WINDLASS].per_worker, peers[leanest]
    words = f"{ours:.1f} MiB, leanest peer: {TITLES[leanest]}, {least:.1f} MiB"
    return [Goal("PSS of a worker", "at most the leanest peer's", words, ours <= least)]
