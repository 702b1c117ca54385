"""Where plans are computed without holding the event loop.

A small request is answered at once, in this process, unless the solver finds it hard; that one,
and every large one, is computed by a process of its own. Such a process is started when first
needed, is killed at the deadline or when nobody waits for its answer any more, and ends with its
parent.
"""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial
from typing import TYPE_CHECKING

import anyio
from anyio import to_process

from app.errors import BusyError, HardProblemError
from app.planning import work
from app.prctl import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable

QUICK_BODY_BYTES = 4096
_NICE = 5


class PlanningDesk:
    """Answers requests for plans; one for each worker, made inside its event loop.

    Args:
        co2: whether the cost counts CO2 allowances.
        processes: how many requests may be computed at a time, each in a process of its own.
        queue: how many more may wait; beyond them a request is refused.
        deadline_s: seconds after which a request is given up, waiting included.
        solved_here: told of the seconds that each plan took to find and prove in this process.
        solved_apart: likewise, of those that a process of the pool has found.
    """

    quick_body_bytes = QUICK_BODY_BYTES

    def __init__(
        self,
        *,
        co2: bool,
        processes: int,
        queue: int,
        deadline_s: float,
        solved_here: Callable[[float], None] | None = None,
        solved_apart: Callable[[float], None] | None = None,
    ) -> None:
        self._co2 = co2
        self._limiter = anyio.CapacityLimiter(processes)
        self._room = processes + queue
        self._deadline_s = deadline_s
        self._under_way = 0
        self._solved_here = solved_here
        self._solved_apart = solved_apart

    def answer_at_once(self, body: bytes, *, details: bool) -> bytes | None:
        """Answer a request in JSON if that takes no longer than the event loop may be held.

        Returns:
            The answer, or None: then `answer` has to be asked.

        Raises:
            AppError: the request is wrong, or no plan meets its load.
        """
        if len(body) > QUICK_BODY_BYTES:
            return None
        try:
            return work.compute(
                body, co2=self._co2, details=details, quick=True, solved=self._solved_here
            )
        except HardProblemError:
            return None

    async def answer(self, body: bytes, *, details: bool) -> bytes:
        """Answer a request in JSON, computed by a process of the pool.

        Raises:
            BusyError: too many requests are under way, or this one took too long.
            AppError: the request is wrong, or no plan meets its load.
        """
        answer, seconds = await self._answer_apart(
            partial(_compute_apart, os.getpid(), body, co2=self._co2, details=details)
        )
        if self._solved_apart is not None:
            self._solved_apart(seconds)
        return answer

    async def _answer_apart(
        self, compute: Callable[[], tuple[bytes, float]]
    ) -> tuple[bytes, float]:
        if self._under_way >= self._room:
            raise BusyError("Too many large plans are being computed; try again in a moment")
        self._under_way += 1
        try:
            async with asyncio.timeout(self._deadline_s):
                return await to_process.run_sync(compute, cancellable=True, limiter=self._limiter)
        except TimeoutError as error:
            raise BusyError(
                f"The plan was not computed within {self._deadline_s:g} s; try again when there is "
                "less to do, or raise PLAN_DEADLINE_S"
            ) from error
        finally:
            self._under_way -= 1


def _compute_apart(parent: int, body: bytes, *, co2: bool, details: bool) -> tuple[bytes, float]:
    """Compute in a process of the pool; the answer, and the seconds that the plan took."""
    die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(0)  # the parent died before the kernel was asked to tell
    # The worker that serves short requests goes first where there is one CPU for both.
    os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    took: list[float] = []
    answer = work.compute(body, co2=co2, details=details, quick=False, solved=took.append)
    return answer, took[0]
