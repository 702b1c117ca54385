"""SIGKILL: of random workers again and again, and of the master."""

from __future__ import annotations

import math
import os
import random
import signal
import time
from typing import TYPE_CHECKING

import psutil

from benchmarks.chaos.plot import Mark
from benchmarks.chaos.site import WORKERS, Site, site, wait_for
from benchmarks.chaos.traffic import traffic
from benchmarks.chaos.verdicts import Outcome, Verdict, none_failed, within

if TYPE_CHECKING:
    from benchmarks.chaos.record import Record, Request

RATE_HZ = 200.0
RESPAWN_WITHIN_S = 1.0
BACK_WITHIN_S = 3.0
ENDED_WITHIN_S = 6.0
"""Probation, requests that take two seconds on purpose, and connections that Nginx keeps idle."""
_EVERY_S = 2.0
_PATIENCE_S = 30.0
_AROUND_S = 0.25
"""How far from a kill a request that it failed may have been sent or seen to fail: the client and
the kernel take their turns on the same CPUs."""


def workers(is_long: bool) -> Outcome:  # noqa: FBT001 - the one argument of every fault
    """Kill a random worker every two seconds."""
    choice = random.Random(1)
    kills: list[tuple[int, float]] = []
    respawns_s: list[float] = []
    marks = []
    with site() as stack:
        master = stack.master.pid
        with traffic(stack, RATE_HZ) as sent:
            for number in range(60 if is_long else 6):
                wait_for(lambda: len(stack.ready()) == WORKERS, _PATIENCE_S, "every worker")
                time.sleep(_EVERY_S)
                slot = choice.randrange(WORKERS)
                begun, seconds = _kill(stack, slot)
                kills.append((slot, begun))
                respawns_s.append(seconds)
                marks.append(Mark(f"kill {number + 1}", begun, begun + seconds))
            time.sleep(1)
        same = stack.master.pid == master
    return Outcome(
        [*judge_kills(sent.record, kills),
         within("another worker is ready within 1 s of each kill", respawns_s, RESPAWN_WITHIN_S),
         Verdict("the master is not harmed", "the same" if same else "another", kept=same)],
        sent.record, {"respawns_s": respawns_s}, marks,
    )  # fmt: skip


def judge_kills(record: Record, kills: list[tuple[int, float]]) -> list[Verdict]:
    """What clients may see of kills.

    Args:
        record: of the client.
        kills: the slot of each victim, and when it was killed.
    """
    idempotent = record.where(lambda r: r.idempotent)
    others = record.where(lambda r: not r.idempotent)
    unexplained = [r for r in others.failed if not any(_explains(kill, r) for kill in kills)]
    most = sum(sum(_explains(kill, r, 0.0) for r in others.requests) for kill in kills)
    return [
        Verdict("no idempotent request fails",
                f"{len(idempotent.failed)} of {len(idempotent.requests):,} failed"
                f"{_troubles(idempotent)}", kept=not idempotent.failed),
        Verdict("others fail only where they were under way at a kill, at that worker where it was "
                "asked by its own socket",
                f"{len(others.failed)} of {len(others.requests):,} failed, {most} were under way "
                f"at {len(kills)} kills, {len(unexplained)} unexplained{_troubles(others)}",
                kept=not unexplained),
    ]  # fmt: skip


def _explains(kill: tuple[int, float], request: Request, margin_s: float = _AROUND_S) -> bool:
    slot, at = kill
    return request.slot in {-1, slot} and request.was_under_way(at, margin_s)


def _troubles(record: Record) -> str:
    found = record.summary().failures
    return "".join(f"; {count} x {what}" for what, count in list(found.items())[:3])


def _kill(stack: Site, slot: int) -> tuple[float, float]:
    """Kill the worker of a slot; when, and after how long another was ready."""
    victim = stack.ready()[slot].pid
    begun = time.monotonic()
    os.kill(victim, signal.SIGKILL)

    def replaced() -> bool:
        now = stack.ready()
        return slot in now and now[slot].pid != victim

    return begun, wait_for(replaced, _PATIENCE_S, f"another worker {slot}")


def master(is_long: bool) -> Outcome:  # noqa: FBT001
    """Kill the master; its workers serve until those of the one that supervisord starts do."""
    back_s: list[float] = []
    ended_s: list[float] = []
    marks = []
    with site() as stack, traffic(stack, RATE_HZ) as sent:
        for number in range(10 if is_long else 2):
            time.sleep(_EVERY_S)
            old = stack.master.pid
            family = [psutil.Process(old), *psutil.Process(old).children(recursive=True)]
            begun = time.monotonic()
            os.kill(old, signal.SIGKILL)
            seconds = wait_for(lambda: _another_serves(stack, old), _PATIENCE_S, "another master")  # noqa: B023 - called within this turn
            _, left = psutil.wait_procs(family, timeout=_PATIENCE_S)
            back_s.append(seconds)
            ended_s.append(math.inf if left else time.monotonic() - begun - seconds)
            marks.append(Mark(f"kill {number + 1}", begun, begun + seconds))
        time.sleep(_EVERY_S)
    return Outcome(
        [*none_failed(sent.record),
         within("another master's workers are ready within 3 s", back_s, BACK_WITHIN_S),
         within("the old ones are gone 6 s after that", ended_s, ENDED_WITHIN_S)],
        sent.record, {"back_s": back_s, "ended_s": ended_s}, marks,
    )  # fmt: skip


def _another_serves(stack: Site, old: int) -> bool:
    try:
        return stack.master.pid != old and len(stack.ready()) == WORKERS
    except LookupError:
        return False
