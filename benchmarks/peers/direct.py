"""Part `direct`: what one worker on one CPU can do, and what CPU a request takes."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.peers import plot
from benchmarks.peers import servers as catalogue
from benchmarks.peers.comparison import against, best_peer
from benchmarks.peers.goals import Part, at_least
from benchmarks.peers.processes import cpu_s
from benchmarks.peers.servers import TITLES
from benchmarks.peers.turns import failures, load, send, take_turns, wrong_answers
from benchmarks.report import Section, Table

if TYPE_CHECKING:
    from benchmarks.peers.generator import Outcome
    from benchmarks.peers.goals import Goal
    from benchmarks.peers.servers import Server
    from benchmarks.peers.session import Session
    from benchmarks.peers.turns import Turns

WANTED = {"/health": 1.0, "/metadata": 1.0, "/": 1.5, "/productionplan": 1.0}
"""By path: how many times the best peer's throughput Windlass should have."""
_AIMS = {"/health": 1.3, "/metadata": 1.3}
_HOW = (
    "A closed loop: each of {connections} kept-alive connections sends its next request when it "
    "has its answer. One worker, kept to CPU {server}; the load and Redis on CPU {load}. {rounds} "
    "rounds of {seconds:g} s; in each, every server had its turn in random order."
)
_FIGURES = (
    "A ratio is the geometric mean over the rounds, with its 95 % interval (Student's, on paired "
    "logarithms). CPU is user's and system's of the server's processes, without Redis. Where other "
    "work shares the CPUs, the CPU of a request is the steadier figure."
)


@dataclass(frozen=True, slots=True)
class Capacity:
    """One turn.

    Attributes:
        cpu_s: that the server's processes used meanwhile, in seconds.
    """

    outcome: Outcome
    cpu_s: float

    @property
    def cpu_s_per_1000(self) -> float:
        """Seconds of CPU for a thousand requests."""
        return 1000 * self.cpu_s / max(1, self.outcome.total)


def measure(session: Session) -> Part:
    """Measure every server's capacity on every path."""
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(catalogue.alone(name, session)) for name in session.servers
        }
        wrong = wrong_answers(servers, session)
        turns = capacities(servers, session, "direct")
    rates = {key: [turn.outcome.per_second for turn in of] for key, of in turns.items()}
    cpu = {key: [turn.cpu_s_per_1000 for turn in of] for key, of in turns.items()}
    session.capacities.update({key: median(of) for key, of in rates.items()})
    how = _HOW.format(
        connections=session.connections,
        server=session.cpus.server,
        load=session.cpus.load,
        rounds=session.effort.rounds,
        seconds=session.effort.seconds,
    )
    outcomes = {key: [turn.outcome for turn in of] for key, of in turns.items()}
    drawn = plot.draw("One worker on one CPU", rates, session.output, "peers")
    found = Section(
        "direct",
        "One worker on one CPU",
        [how, _FIGURES, drawn],
        [_table(path, session, rates, cpu) for path in session.paths],
        _data(rates, cpu),
        wrong + failures(outcomes),
    )
    return Part(found, _goals(session, rates))


def capacities(servers: dict[str, Server], session: Session, what: str) -> Turns[Capacity]:
    """Load servers as much as they can bear."""

    def one(name: str, path: str) -> Capacity:
        before = cpu_s(servers[name].process)
        outcome = send(load(servers[name], path, session, session.cpus.load))
        return Capacity(outcome, cpu_s(servers[name].process) - before)

    return take_turns(what, servers, session, one)


def _table(
    path: str,
    session: Session,
    rates: dict[tuple[str, str], list[float]],
    cpu: dict[tuple[str, str], list[float]],
) -> Table:
    rows = []
    for name in session.servers:
        by_rate, by_cpu = against(rates, name, path), against(cpu, name, path)
        rows.append((
            TITLES[name],
            f"{median(rates[name, path]):,.0f}",
            str(by_rate or ""),
            f"{median(cpu[name, path]):.3f}",
            str(by_cpu or ""),
        ))  # fmt: skip
    columns = (path, "requests/s", "Windlass / this", "CPU s per 1,000", "Windlass / this")
    return Table(columns, rows)


def _goals(session: Session, rates: dict[tuple[str, str], list[float]]) -> list[Goal]:
    found = []
    for path in session.paths:
        peer = best_peer(rates, path, most=True)
        ratio = against(rates, peer, path) if peer else None
        if peer and ratio:
            what = f"throughput of one worker, {path}"
            found.append(at_least(what, WANTED[path], ratio, TITLES[peer], _AIMS.get(path)))
    return found


def _data(
    rates: dict[tuple[str, str], list[float]], cpu: dict[tuple[str, str], list[float]]
) -> list[dict[str, object]]:
    return [
        {
            "server": name,
            "path": path,
            "per_second": rates[name, path],
            "cpu_s_per_1000": cpu[name, path],
            "windlass_by_this": against(rates, name, path),
            "windlass_by_this_cpu": against(cpu, name, path),
        }
        for name, path in rates
    ]
