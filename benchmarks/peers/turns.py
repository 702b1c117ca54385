"""Turns: each server gets each load, right after the others, in an order drawn anew each time."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

import msgspec

from benchmarks.machine import ROOT
from benchmarks.peers import launch
from benchmarks.peers.generator import LAST_ANSWERS_S, Load, Outcome
from benchmarks.peers.paths import requests
from benchmarks.peers.probe import ask
from benchmarks.peers.servers import TITLES
from benchmarks.peers.session import UnmeasuredError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from benchmarks.peers.servers import Server
    from benchmarks.peers.session import Session

T = TypeVar("T")
Turns = dict[tuple[str, str], list[T]]
"""By server and path: what each turn gave, in the order of the rounds."""
_START_ALLOWANCE_S = 20.0


def take_turns(
    what: str, servers: Iterable[str], session: Session, measure: Callable[[str, str], T]
) -> Turns[T]:
    """Let every server have its turn at every path, as often as the session has rounds.

    Args:
        what: is measured, for the progress.
        servers: their names.
        session: has paths, rounds and the order of turns.
        measure: measures one turn of a server, by its name, at a path.
    """
    order = list(servers)
    rng = session.rng(what)
    turns: Turns[T] = {(name, path): [] for name in order for path in session.paths}
    with session.progress.steps(what, session.effort.rounds * len(turns)) as step:
        for _ in range(session.effort.rounds):
            for path in session.paths:
                rng.shuffle(order)
                for name in order:
                    turns[name, path].append(measure(name, path))
                    step()
    return turns


def send(load: Load) -> Outcome:
    """Send a load from a process of its own.

    Raises:
        UnmeasuredError: that process fails.
    """
    argv = launch.argv((sys.executable, "-m", "benchmarks.peers.generator"), None)
    waits_s = load.warm_up_s + load.seconds + 3 * LAST_ANSWERS_S + _START_ALLOWANCE_S
    try:
        done = subprocess.run(
            argv, input=msgspec.msgpack.encode(load), capture_output=True, check=True, cwd=ROOT,
            timeout=waits_s,
        )  # fmt: skip
    except subprocess.SubprocessError as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace")
        raise UnmeasuredError(f"the load generator failed: {error}\n{said}".rstrip()) from error
    return msgspec.msgpack.decode(done.stdout, type=Outcome)


def load(
    server: Server, path: str, session: Session, cpu: int | None, rate_hz: float | None = None
) -> Load:
    """The session's load for a server.

    Args:
        server: that gets it.
        path: what is asked for.
        session: has the connections and the times.
        cpu: of the generator; None for any.
        rate_hz: of an open loop.
    """
    return Load(
        addresses=server.addresses,
        request=requests()[path].content,
        connections=session.connections,
        seconds=session.effort.seconds,
        warm_up_s=session.effort.warm_up_s,
        rate_hz=rate_hz,
        cpu=cpu,
    )


def wrong_answers(servers: Mapping[str, Server], session: Session) -> list[str]:
    """Ask every server once for every path; a sentence for each answer that is not right."""
    wrong = []
    for name, server in servers.items():
        for path in session.paths:
            request = requests()[path]
            status, _, body = ask(server.addresses[0], request.content)
            if status != 200 or request.sign not in body:
                wrong.append(f"{TITLES[name]}, {path}: status {status}, {body[:80]!r}")
    return wrong


def failures(outcomes: Mapping[tuple[str, str], Iterable[Outcome]]) -> list[str]:
    """A sentence for each kind of error of each server at each path."""
    found = []
    for (name, path), turns in outcomes.items():
        errors: Counter[str] = Counter()
        for outcome in turns:
            errors.update(outcome.errors)
            if not outcome.total:
                errors["a turn without a good answer"] += 1
        found += [f"{TITLES[name]}, {path}: {n:,} times: {kind}" for kind, n in errors.items()]
    return found
