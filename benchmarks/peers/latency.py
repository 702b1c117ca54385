"""Part `latency`: how long an answer takes while a server is half busy.

The rule: on each path every server gets half of the requests per second that it can do itself, and
then all get the same rate, half of what the slowest of them can do. The first shows what a user
sees of a server that is used well, the second compares answers under one load.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.peers import servers as catalogue
from benchmarks.peers.comparison import against, best_peer
from benchmarks.peers.direct import capacities
from benchmarks.peers.goals import Part, at_most, untold
from benchmarks.peers.servers import LIMIT, TITLES, WINDLASS
from benchmarks.peers.turns import failures, load, send, take_turns, wrong_answers
from benchmarks.report import Section, Table, duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.peers.generator import Outcome
    from benchmarks.peers.goals import Goal
    from benchmarks.peers.servers import Server
    from benchmarks.peers.session import Effort, Session
    from benchmarks.peers.turns import Turns

OWN, SAME = "half of its own capacity", "one rate for all"
_PERCENTILES = {"p50": 50, "p99": 99}
_TRIAL_ROUNDS = 2
_LATE_SHARE = 0.5
"""Of the p99: a client that is later than this has measured itself."""
_HOW = (
    "An open loop: requests are sent at a fixed rate whatever the server does, and a latency "
    "counts from the time at which its request was meant to be sent. One worker on one CPU, the "
    "load and Redis on another."
)
_RATES = (
    "Two rates on each path: half of what each server can do itself, and half of what the slowest "
    "of them can do, for all. Each percentile is taken for each turn; the table has the median of "
    "all rounds. What the client was late is in the latencies, and is shown: where it comes near "
    "to p99, the machine was measured rather than the server."
)


def measure(session: Session) -> Part:
    """Measure latencies of every server but the limit on every path, at both rates."""
    names = [name for name in session.servers if name != LIMIT]
    with ExitStack() as stack:
        servers = {name: stack.enter_context(catalogue.alone(name, session)) for name in names}
        wrong = wrong_answers(servers, session)
        _find_capacities(servers, session)
        own = {(n, p): session.capacities[n, p] / 2 for n in names for p in session.paths}
        same = {(n, p): min(own[m, p] for m in names) for n in names for p in session.paths}
        turns = {
            mode: _at_rates(servers, session, rates, mode)
            for mode, rates in ((OWN, own), (SAME, same))
        }
    found = Section(
        "latency",
        "Latency at half load",
        [_HOW, _RATES],
        [_table(path, mode, names, rates, turns[mode]) for path in session.paths
         for mode, rates in ((OWN, own), (SAME, same))],
        {mode: _data(rates, turns[mode]) for mode, rates in ((OWN, own), (SAME, same))},
        wrong + [failure for of in turns.values() for failure in failures(of)],
    )  # fmt: skip
    return Part(found, [goal for mode, of in turns.items() for goal in _goals(session, mode, of)])


def _find_capacities(servers: dict[str, Server], session: Session) -> None:
    """Measure in short what the part `direct` has not."""
    if all((name, path) in session.capacities for name in servers for path in session.paths):
        return
    effort: Effort = replace(session.effort, rounds=_TRIAL_ROUNDS)
    trial = capacities(servers, replace(session, effort=effort), "capacity for the latency")
    for key, turns in trial.items():
        session.capacities[key] = median(turn.outcome.per_second for turn in turns)


def _at_rates(
    servers: dict[str, Server],
    session: Session,
    rates: Mapping[tuple[str, str], float],
    mode: str,
) -> Turns[Outcome]:
    def one(name: str, path: str) -> Outcome:
        rate_hz = max(1.0, rates[name, path])
        return send(load(servers[name], path, session, session.cpus.load, rate_hz))

    return take_turns(f"latency, {mode}", servers, session, one)


def _percentiles(turns: Turns[Outcome]) -> dict[str, dict[tuple[str, str], list[float]]]:
    """By name of the percentile, server and path: that of each turn, in seconds."""
    return {
        name: {key: [_percentile(turn.latencies_s, q) for turn in of] for key, of in turns.items()}
        for name, q in _PERCENTILES.items()
    }


def _percentile(seconds: list[float], q: float) -> float:
    return float(np.percentile(seconds, q)) if seconds else float("inf")


def _table(
    path: str,
    mode: str,
    names: list[str],
    rates: Mapping[tuple[str, str], float],
    turns: Turns[Outcome],
) -> Table:
    percentiles = _percentiles(turns)
    rows = [
        (
            TITLES[name],
            f"{rates[name, path]:,.0f}",
            *(duration(median(percentiles[q][name, path])) for q in _PERCENTILES),
            str(against(percentiles["p99"], name, path) or ""),
            duration(median(_lateness(turns[name, path]))),
        )
        for name in names
    ]
    columns = (f"{path}, {mode}", "requests/s", "p50", "p99", "p99, Windlass / this",
               "client late, p99")  # fmt: skip
    return Table(columns, rows)


def _goals(session: Session, mode: str, turns: Turns[Outcome]) -> list[Goal]:
    figures = _percentiles(turns)["p99"]
    found = []
    for path in session.paths:
        peer = best_peer(figures, path, most=False)
        ratio = against(figures, peer, path) if peer else None
        if not peer or not ratio:
            continue
        goal = at_most(f"p99, {mode}, {path}", 1.0, ratio, TITLES[peer])
        late = median(_lateness(turns[WINDLASS, path]))
        if late > _LATE_SHARE * median(figures[WINDLASS, path]):
            goal = untold(goal, f"the client itself was late by {duration(late)}")
        found.append(goal)
    return found


def _lateness(turns: Sequence[Outcome]) -> list[float]:
    """How late the client was in each turn, at its 99th percentile, in seconds."""
    return [_percentile(turn.lateness_s, 99) for turn in turns]


def _data(rates: Mapping[tuple[str, str], float], turns: Turns[Outcome]) -> list[dict[str, object]]:
    percentiles = _percentiles(turns)
    return [
        {
            "server": name,
            "path": path,
            "rate_hz": rates[name, path],
            **{f"{q}_s": of[name, path] for q, of in percentiles.items()},
            "late_p99_s": _lateness(turns[name, path]),
        }
        for name, path in turns
    ]
