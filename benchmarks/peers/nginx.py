"""Part `nginx`: two workers behind the Nginx of the stack, on all CPUs."""

from __future__ import annotations

from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.peers import plot
from benchmarks.peers.comparison import against, best_peer
from benchmarks.peers.goals import Part, at_least
from benchmarks.peers.servers import TITLES
from benchmarks.peers.stacks import behind_nginx
from benchmarks.peers.turns import failures, load, send, take_turns, wrong_answers
from benchmarks.report import Section, Table

if TYPE_CHECKING:
    from benchmarks.peers.generator import Outcome
    from benchmarks.peers.goals import Goal
    from benchmarks.peers.session import Session

WORKERS = 2
WANTED = 1.2
"""How many times the best peer's throughput Windlass should have, on each path."""
_HOW = (
    f"The whole stack with {WORKERS} workers: supervisord, Nginx with its access log, the server "
    "and Redis; the peers have the same configuration, rendered by the same code. Nothing is kept "
    "to a CPU, so Nginx and the load take their part of the CPUs, the same from each server; the "
    "bare protocol shows what is left. A closed loop, and ratios, as with one worker."
)


def measure(session: Session) -> Part:
    """Measure the throughput of every stack on every path."""
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(behind_nginx(name, session, WORKERS))
            for name in session.servers
        }
        wrong = wrong_answers(servers, session)

        def one(name: str, path: str) -> Outcome:
            return send(load(servers[name], path, session, None))

        turns = take_turns("behind Nginx", servers, session, one)
    rates = {key: [outcome.per_second for outcome in of] for key, of in turns.items()}
    drawn = plot.draw(f"{WORKERS} workers behind Nginx", rates, session.output, "peers-nginx")
    found = Section(
        "nginx",
        f"Behind Nginx, {WORKERS} workers",
        [_HOW, drawn],
        [_table(path, session, rates) for path in session.paths],
        [
            {"server": n, "path": p, "per_second": of, "windlass_by_this": against(rates, n, p)}
            for (n, p), of in rates.items()
        ],
        wrong + failures(turns),
    )
    return Part(found, _goals(session, rates))


def _table(path: str, session: Session, rates: dict[tuple[str, str], list[float]]) -> Table:
    rows = [
        (TITLES[name], f"{median(rates[name, path]):,.0f}", str(against(rates, name, path) or ""))
        for name in session.servers
    ]
    return Table((path, "requests/s", "Windlass / this"), rows)


def _goals(session: Session, rates: dict[tuple[str, str], list[float]]) -> list[Goal]:
    found = []
    for path in session.paths:
        peer = best_peer(rates, path, most=True)
        ratio = against(rates, peer, path) if peer else None
        if peer and ratio:
            found.append(at_least(f"behind Nginx, {path}", WANTED, ratio, TITLES[peer]))
    return found
