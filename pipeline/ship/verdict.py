"""One verdict over the jobs of a run, for the one check that a branch rule requires.

GitHub takes a skipped job for a passed one, and a required job that is skipped lets a change in. So
the last job asks what came of every other and is red unless each has succeeded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pipeline.jobs import PipelineError

if TYPE_CHECKING:
    from collections.abc import Iterable


class Need(msgspec.Struct):
    """What GitHub says of a job that another needs."""

    result: str


def read(text: str) -> dict[str, str]:
    """The result of each job, from the JSON of GitHub's context `needs`.

    Raises:
        PipelineError: it is none, or names no job.
    """
    try:
        needs = msgspec.json.decode(text, type=dict[str, Need])
    except msgspec.MsgspecError as error:
        raise PipelineError(f"NEEDS is not what GitHub says of jobs: {error}") from error
    if not needs:
        raise PipelineError("NEEDS names no job; a verdict over nothing would be green")
    return {name: need.result for name, need in needs.items()}


def unsuccessful(results: dict[str, str]) -> list[str]:
    """The jobs that people are told of; GitHub calls one that ran out of time cancelled."""
    words = {"failure": "", "cancelled": " (cancelled, or out of time)"}
    return [f"{name}{words[result]}" for name, result in results.items() if result in words]


def concerned(results: dict[str, str], environments: Iterable[str]) -> list[str]:
    """The environments whose own job is one that people are told of.

    Raises:
        PipelineError: one has no job among the results, so nobody of it would ever be told.
    """
    names = list(environments)
    for name in names:
        if name not in results:
            raise PipelineError(f"NEEDS has no job {name}; it has {', '.join(results)}")
    return [name for name in names if unsuccessful({name: results[name]})]


def faults(results: dict[str, str]) -> list[str]:
    """The jobs that have not succeeded, each with what came of it."""
    return [f"{name}: {result}" for name, result in results.items() if result != "success"]
