"""Is it well, and why not: the verdict on a board, in the words of all who show one. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.telemetry.catalogue import LAG_LASTING_S

if TYPE_CHECKING:
    from app.telemetry.board import Board

NO_WAY_BACK = "there is no other release to go back to"
"""Why a way back was refused that would have changed nothing."""
_SLOW_LAG_MS = 100.0
_TEXTS = {"ok": "All is well", "warn": "It serves, with a fault", "bad": "Something is wrong"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of all in one sentence.

    Attributes:
        tone: ok, warn or bad.
        reasons: why it is not well, the worst first; empty where it is.
    """

    tone: str
    reasons: list[str]

    @property
    def text(self) -> str:
        """The sentence."""
        return _TEXTS[self.tone]


def verdict_of(board: Board) -> Verdict:
    """Judge a board."""
    bad, warn = _wrong(board), _faults(board)
    return Verdict("bad" if bad else "warn" if warn else "ok", bad + warn)


def has_failed(reload: str) -> bool:
    """Whether a reload (`Release.reload` of a board) did not lead to the new code."""
    return reload.startswith(("failed", "went back")) and not reload.endswith(NO_WAY_BACK)


def _wrong(board: Board) -> list[str]:
    found = []
    if board.redis.state != "up":
        found.append(f"Redis is away: {board.redis.reason or 'no answer'}")
    if _has_no_worker(board) and not board.orphans:
        found.append("No worker is ready")
    return found


def _has_no_worker(board: Board) -> bool:
    return all(worker.state != "ready" for worker in board.workers)


def _faults(board: Board) -> list[str]:
    found = []
    if _has_no_worker(board) and board.orphans:
        found.append("No worker is ready; those of a master that was killed serve")
    for worker in board.workers:
        if worker.state in {"blocked", "waiting"}:
            why = f", {worker.last_exit}" if worker.last_exit else ""
            found.append(f"Worker {worker.slot} is {worker.state}{why}")
    failing = board.traffic.errors_per_s
    if failing > 0:
        found.append(f"{failing:,.{0 if failing >= 100 else 1}f} requests a second fail")
    if has_failed(board.release.reload):
        found.append(f"The last reload {board.release.reload}")
    found += [
        f"The event loop of worker {worker.slot} has been late for {LAG_LASTING_S} s"
        for worker in board.workers
        # One second that was late is nothing to wake anybody for.
        if worker.state == "ready" and (worker.lag_lasting_ms or 0) > _SLOW_LAG_MS
    ]
    if not board.metrics:
        found.append("Requests are not counted (METRICS=no)")
    return found
