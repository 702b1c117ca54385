"""Gates side by side: one process for each lane, each on a CPU of its own where there are several.

What a lane is given next is decided when it has done its last. A lane that fails ends all; what was
kept by then is kept.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from benchmarks.calibration.lines import Line
from benchmarks.machine import ROOT
from benchmarks.peers import launch
from benchmarks.peers.session import UnmeasuredError

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Callable, Sequence

    from benchmarks.calibration.lines import Case

_LONGEST_LINE_BYTES = 1 << 24
_LONGEST_GATE_S = 1800
_END_TIMEOUT_S = 60


def cpus_of(lanes: int) -> list[int | None]:
    """The CPU of each lane; a single lane has them all.

    Raises:
        ValueError: there are fewer CPUs than lanes.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if lanes > len(allowed):
        raise ValueError(f"{lanes} lanes take {lanes} CPUs; here are {len(allowed)}")
    return [None] if lanes == 1 else list(allowed[:lanes])


def run(
    cases: Sequence[Case],
    argv: tuple[str, ...],
    cpus: Sequence[int | None],
    keep: Callable[[Line], None],
) -> None:
    """Run cases, in their order as far as lanes allow it.

    Args:
        cases: what to run.
        argv: what a lane is started with.
        cpus: of each lane.
        keep: called with each line as soon as it is there.

    Raises:
        UnmeasuredError: a lane failed; what it said is on standard error.
    """
    asyncio.run(_run(deque(cases), argv, cpus, keep))


async def _run(
    left: deque[Case],
    argv: tuple[str, ...],
    cpus: Sequence[int | None],
    keep: Callable[[Line], None],
) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for cpu in cpus:
                group.create_task(_lane(left, argv, cpu, keep))
    except* UnmeasuredError as failed:
        raise failed.exceptions[0] from None


async def _lane(
    left: deque[Case], argv: tuple[str, ...], cpu: int | None, keep: Callable[[Line], None]
) -> None:
    async with _process(argv, cpu) as process:
        while left:
            keep(await _ask(process, left.popleft()))


async def _ask(process: Process, case: Case) -> Line:
    if process.stdin is None or process.stdout is None:
        raise LookupError("the lane was started without its pipes")
    try:
        process.stdin.write(msgspec.json.encode(case) + b"\n")
        await process.stdin.drain()
        async with asyncio.timeout(_LONGEST_GATE_S):
            answer = await process.stdout.readline()
    except TimeoutError:
        raise UnmeasuredError(f"{case} did not end within {_LONGEST_GATE_S} s") from None
    except OSError as error:
        raise UnmeasuredError(f"{case} could not be asked for: {error}") from error
    if not answer:
        raise UnmeasuredError(f"{case} could not be measured; the reason is above")
    return msgspec.json.decode(answer, type=Line)


@asynccontextmanager
async def _process(argv: tuple[str, ...], cpu: int | None) -> AsyncIterator[Process]:
    """A lane's process, ended in good order so that it takes its checkouts away."""
    command = launch.argv((sys.executable, "-m", "benchmarks.calibration.lane", *argv), cpu)
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE_BYTES, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.stdin is not None:
            process.stdin.close()
        if process.returncode is None and sys.exc_info()[0] is not None:
            process.terminate()
        try:
            async with asyncio.timeout(_END_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
