"""The jobs of the pipeline, read from `jobs.toml`; a fault of that file is named with its place."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT = Path(__file__).resolve().parents[1]
FILE = Path(__file__).with_name("jobs.toml")
BASE, LAST = "{base}", "{last}"
STEPS = frozenset({"nix", "servers", "whole-history"})


class PipelineError(Exception):
    """Something cannot be done; says what, and what to do next."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job.

    Attributes:
        name: unique in its workflow.
        about: what it shows, for people.
        argv: its command; `BASE` stands for the commit to compare with, `LAST` for the one that was
            measured last.
        minutes: after which it is ended.
        needs: jobs that must have passed before it begins.
        neutral: exit codes that are no failure, and what each means.
        programs: what must be on PATH.
        root: only root can run it.
        pythons: versions of Python on which the workflow runs it.
        steps: what the workflow prepares for it.
        report: Markdown file that it writes, for the summary of a run.
        keeps: folder that outlives a run.
    """

    name: str
    about: str
    argv: tuple[str, ...]
    minutes: float
    needs: tuple[str, ...] = ()
    neutral: Mapping[int, str] = field(default_factory=dict)
    programs: tuple[str, ...] = ()
    root: bool = False
    pythons: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    report: str = ""
    keeps: str = ""


def read(workflow: str = "ci", file: Path = FILE) -> tuple[Job, ...]:
    """The jobs of a workflow, in order.

    Raises:
        PipelineError: the file is wrong.
    """
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PipelineError(f"{file} cannot be read: {error}") from error
    if workflow not in tables:
        raise PipelineError(f"{file} has no workflow {workflow}; it has {', '.join(tables)}")
    found: list[Job] = []
    for number, entries in enumerate(tables[workflow], 1):
        where = f"{file.name}: {workflow}, job {number}"
        job = _job(entries, where)
        _check(job, {each.name for each in found}, where)
        found.append(job)
    return tuple(found)


def workflows(file: Path = FILE) -> list[str]:
    """The names of the workflows that have jobs."""
    return list(tomllib.loads(file.read_text(encoding="utf-8")))


def chosen(jobs: tuple[Job, ...], names: Iterable[str]) -> tuple[Job, ...]:
    """The jobs of some names, in the pipeline's order; all when there are no names.

    Raises:
        PipelineError: a name is none of a job.
    """
    wanted = set(names)
    known = [job.name for job in jobs]
    if wanted - set(known):
        unknown = ", ".join(sorted(wanted - set(known)))
        raise PipelineError(f"there is no job {unknown}; there are: {', '.join(known)}")
    return tuple(job for job in jobs if not wanted or job.name in wanted)


def _job(entries: dict[str, Any], where: str) -> Job:
    known = set(Job.__dataclass_fields__)
    missing = {"name", "about", "argv", "minutes"} - entries.keys()
    if missing or entries.keys() - known:
        raise PipelineError(
            f"{where}: missing {sorted(missing)}, unknown {sorted(entries.keys() - known)}"
        )
    lists = {name: tuple(value) for name, value in entries.items() if isinstance(value, list)}
    try:
        neutral = {int(code): text for code, text in entries.get("neutral", {}).items()}
    except ValueError as error:
        raise PipelineError(f"{where}: neutral names exit codes: {error}") from error
    return Job(**{**entries, **lists, "neutral": neutral})


def _check(job: Job, before: set[str], where: str) -> None:
    if job.name in before:
        raise PipelineError(f"{where}: there are two jobs {job.name}")
    if not set(job.needs) <= before:
        later = ", ".join(sorted(set(job.needs) - before))
        raise PipelineError(f"{where}: {job.name} needs {later}, which does not come before it")
    if not set(job.steps) <= STEPS:
        raise PipelineError(f"{where}: unknown steps {sorted(set(job.steps) - STEPS)}")
    if not job.argv or not 0 < job.minutes <= 360:
        raise PipelineError(f"{where}: a job has a command, and at most 360 minutes")
    if 0 in job.neutral or 1 in job.neutral:
        raise PipelineError(f"{where}: 0 is passed and 1 is failed; neither is neutral")
