"""What came of the jobs: for the terminal, as Markdown for a run's summary, as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline.running import GREEN, is_green

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.jobs import Job
    from pipeline.running import Result

_MARKS = {"passed": "✓", "neutral": "○", "skipped": "-"}
_SUMMARY_BYTES = 900_000
"""GitHub refuses the summary of a step above 1 MiB."""


def text(results: Sequence[Result]) -> str:
    """A line for each job, and the verdict."""
    lines = [
        f"{_MARKS.get(one.verdict, '✗')} {one.job:16}{one.verdict:9}{one.seconds:7.1f} s  "
        f"{one.reason}".rstrip()
        for one in results
    ]
    return "\n".join([*lines, verdict(results)])


def verdict(results: Sequence[Result]) -> str:
    """One sentence."""
    seconds = sum(one.seconds for one in results)
    red = [one.job for one in results if one.verdict not in GREEN]
    if red:
        return f"RED after {seconds:.0f} s: {', '.join(red)}"
    if not is_green(results):
        return "RED: nothing was run"
    left_out = [one.job for one in results if one.verdict == "skipped"]
    not_here = f"; not on this machine: {', '.join(left_out)}" if left_out else ""
    return f"GREEN after {seconds:.0f} s{not_here}"


def json(results: Sequence[Result]) -> bytes:
    """The same for programs."""
    found: dict[str, Any] = {
        "green": is_green(results), "jobs": [asdict(one) for one in results]
    }  # fmt: skip
    return msgspec.json.format(msgspec.json.encode(found)) + b"\n"


def markdown(results: Sequence[Result], jobs: Sequence[Job], root: Path) -> str:
    """The same for the summary of a run, followed by the reports that the jobs wrote."""
    lines = ["| | job | seconds | |", "|---|---|---:|---|"]
    lines += [
        f"| {_MARKS.get(one.verdict, '✗')} | {one.job} | {one.seconds:.0f} | "
        f"{one.reason or one.verdict} |"
        for one in results
    ]
    reports = [root / job.report for job in jobs if job.report]
    found = [file.read_text(encoding="utf-8") for file in reports if file.is_file()]
    whole = "\n\n".join(["\n".join(lines), *found]) + "\n"
    return whole.encode()[:_SUMMARY_BYTES].decode(errors="ignore")
