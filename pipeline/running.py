"""Runs jobs one after the other, as the pipeline does, and says what came of each.

A job that needs one which has not passed is not run, and has not passed either. A job ends at its
limit of minutes with every process that it started. What cannot be run on this machine is skipped
by name, or fails where everything must run (`strict`): nothing that was not run counts as passed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.jobs import BASE, LAST, PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pipeline.jobs import Job

_GIT_TIMEOUT_S = 60
_END_TIMEOUT_S = 60
_MAIN = ("origin/main", "main")
_UNMEASURED = {"ERROR", "INVALID"}

PASSED, NEUTRAL, FAILED, SKIPPED, NOT_RUN = "passed", "neutral", "failed", "skipped", "not run"
GREEN = frozenset({PASSED, NEUTRAL, SKIPPED})


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a job.

    Attributes:
        job: its name.
        verdict: passed, neutral, failed, skipped or not run.
        seconds: that it took.
        reason: why it is not simply passed.
        code: exit code of its command; None where there is none.
    """

    job: str
    verdict: str
    seconds: float = 0.0
    reason: str = ""
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """Where jobs run.

    Attributes:
        root: of the checkout.
        environ: of the commands.
        strict: what cannot be run here has failed.
    """

    root: Path
    environ: Mapping[str, str]
    strict: bool = False


def run(
    jobs: Sequence[Job], machine: Machine, more: Sequence[str], say: Callable[[str], None]
) -> list[Result]:
    """Run jobs in order; every job that can be run is, whatever comes of the others.

    Args:
        jobs: those that are asked for; needs outside of them are taken as met.
        machine: where.
        more: further words for the command of each.
        say: told what begins and what came of it.
    """
    results: dict[str, Result] = {}
    for number, job in enumerate(jobs, 1):
        say(f"{job.name} ({number} of {len(jobs)}): {job.about}")
        results[job.name] = result = _run(job, machine, more, results)
        reason = f": {result.reason}" if result.reason else ""
        say(f"{job.name} {result.verdict} after {result.seconds:.0f} s{reason}")
    return list(results.values())


def is_green(results: Sequence[Result]) -> bool:
    """Whether nothing failed, nothing was held back by a failure, and something was run."""
    return all(one.verdict in GREEN for one in results) and any(
        one.verdict in {PASSED, NEUTRAL} for one in results
    )


def base_commit(root: Path) -> str:
    """The commit that a change is compared with: where it left main, or main's commit before.

    Raises:
        PipelineError: there is no main, or no commit before.
    """
    head = _git(root, "rev-parse", "HEAD")
    for main in _MAIN:
        base = _git(root, "merge-base", main, "HEAD")
        if base and base != head:
            return base
        if base:
            before = _git(root, "rev-parse", "HEAD~1")
            if before:
                return before
    raise PipelineError(
        f"no commit to compare {head[:9] or 'HEAD'} with: neither {' nor '.join(_MAIN)} is known "
        "here, or there is no commit before; fetch the whole history"
    )


def last_measured(root: Path, history: Path) -> str:
    """The commit that a history measured last; where it is no other than this one, `base_commit`.

    A gate that ended as ERROR or INVALID has measured nothing that could be compared.

    Raises:
        PipelineError: there is no commit to compare with.
    """
    last = _last_commit(history)
    known = _git(root, "rev-parse", "--verify", "--quiet", f"{last}^{{commit}}") if last else ""
    return known if known not in {"", _git(root, "rev-parse", "HEAD")} else base_commit(root)


def _last_commit(history: Path) -> str:
    """Empty where no gate of a history has measured anything, or the file cannot be read."""
    try:
        gates = [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines()]
        measured = [
            str(gate["commit"])
            for gate in gates
            if gate["outcome"] not in _UNMEASURED and gate["levels"]
        ]
    except (OSError, KeyError, ValueError, TypeError):
        return ""
    return measured[-1] if measured else ""


def end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a command that leads a group: itself, and whatever it left behind."""
    for number, patience_s in ((signal.SIGTERM, _END_TIMEOUT_S), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):  # what sudo started is not ours to end
            break
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            continue
    process.wait(10)


def _run(job: Job, machine: Machine, more: Sequence[str], before: Mapping[str, Result]) -> Result:
    unmet = [name for name in job.needs if name in before and before[name].verdict not in GREEN]
    if unmet:
        return Result(job.name, NOT_RUN, reason=f"it needs {', '.join(unmet)}")
    try:
        _require(job, machine)
        argv = _argv(job, machine.root, more)
    except PipelineError as error:
        return Result(job.name, FAILED if machine.strict else SKIPPED, reason=str(error))
    if job.report:
        (machine.root / job.report).unlink(missing_ok=True)  # one of another run is no report
    begun = time.monotonic()
    code = _code_of(argv, machine, job.minutes * 60)
    return _judged(job, code, time.monotonic() - begun)


def _judged(job: Job, code: int | None, seconds: float) -> Result:
    if code is None:
        return Result(job.name, FAILED, seconds, f"not done after {job.minutes:g} minutes; ended")
    if code in job.neutral:
        return Result(job.name, NEUTRAL, seconds, job.neutral[code], code)
    if code:
        return Result(job.name, FAILED, seconds, f"exit code {code}", code)
    return Result(job.name, PASSED, seconds, code=code)


def _require(job: Job, machine: Machine) -> None:
    search_path = machine.environ.get("PATH", os.defpath)
    missing = [name for name in job.programs if shutil.which(name, path=search_path) is None]
    if missing:
        raise PipelineError(f"{', '.join(missing)} is not on PATH")
    if job.root and os.geteuid() != 0 and not _has_sudo():
        raise PipelineError("it needs root, or sudo that asks nothing")


def _has_sudo() -> bool:
    try:
        asked = ("sudo", "--non-interactive", "true")
        return not subprocess.run(asked, capture_output=True, check=False, timeout=30).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False


def _argv(job: Job, root: Path, more: Sequence[str]) -> tuple[str, ...]:
    texts: dict[str, str] = {}
    if BASE in job.argv:
        texts[BASE] = base_commit(root)
    if LAST in job.argv:
        texts[LAST] = last_measured(root, root / job.argv[job.argv.index("--history") + 1])
    return (*(texts.get(word, word) for word in job.argv), *more)


def _code_of(argv: Sequence[str], machine: Machine, limit_s: float) -> int | None:
    """Run a command to its end; None when its time was up."""
    process = subprocess.Popen(
        argv, cwd=machine.root, env=dict(machine.environ), stdin=subprocess.DEVNULL,
        process_group=0,
    )  # fmt: skip
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        end(process)


def _git(root: Path, *words: str) -> str:
    command = ("git", "-c", f"safe.directory={root}", "-C", str(root), *words)
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=_GIT_TIMEOUT_S
    )
    return done.stdout.strip() if done.returncode == 0 else ""
