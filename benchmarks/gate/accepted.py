"""Slowdowns that are accepted: lines of a reviewed file, each with a size, a reason and a last day.

There is no other way to accept one. A line accepts a slowdown once: where the base has it too, its
slowdown is in the base as well, and it accepts nothing more. A file with any fault accepts nothing:
every fault is named, and the gate does not run.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping  # noqa: TC003 - msgspec reads it
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.gate.declaration import Metric

FILE = Path(__file__).with_name("accepted.toml")
LONGEST = timedelta(days=90)
LARGEST = 1.0
_KEYS = {
    "accepted": {"benchmark", "size", "reason", "expires"},
    "removed": {"benchmark", "reason", "expires"},
}


class AcceptedFileError(Exception):
    """The file has faults; each is a sentence.

    Attributes:
        faults: all of them.
    """

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("\n".join(["accepted.toml has faults; put them right:", *faults]))


@dataclass(frozen=True, slots=True)
class Line:
    """An accepted slowdown, or a benchmark that was taken out.

    Attributes:
        benchmark: a benchmark, or one metric of it.
        size: by how much it may be slower, as a share; 0 for what was taken out.
        expires: the last day on which the line holds.
    """

    benchmark: str
    size: float
    reason: str
    expires: date


@dataclass(frozen=True, slots=True)
class Accepted:
    """What is accepted.

    Attributes:
        slowdowns: by benchmark or metric.
        removed: benchmarks that are gone, and metrics that decide no more.
        spent: slowdowns that are in the base already, which accept nothing.
    """

    slowdowns: Mapping[str, Line] = field(default_factory=dict)
    removed: Mapping[str, Line] = field(default_factory=dict)
    spent: Mapping[str, Line] = field(default_factory=dict)

    def line_for(self, metric: Metric) -> Line | None:
        """The line that covers a metric: its own, or else its benchmark's."""
        return _line_for(metric, self.slowdowns)

    def is_spent(self, metric: Metric) -> bool:
        """Whether a line covers a metric that the base has too."""
        return _line_for(metric, self.spent) is not None

    def allowance(self, metric: Metric) -> float:
        """What is accepted of a metric, as the logarithm of a ratio."""
        line = self.line_for(metric)
        return math.log1p(line.size) if line else 0.0


def _line_for(metric: Metric, lines: Mapping[str, Line]) -> Line | None:
    return lines.get(metric.name) or lines.get(metric.benchmark.name)


def parse(text: str, known: set[str], today: date, before: str = "") -> Accepted:
    """Read and check the file.

    Args:
        text: of the file.
        known: names of benchmarks, and of metrics that decide.
        today: decides what has expired.
        before: the base's file; a line that differs from its own in the last day alone is the same.

    Raises:
        AcceptedFileError: with every fault.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise AcceptedFileError([f"it is no TOML: {error}"]) from error
    faults = [f"[[{name}]]: there is no such table" for name in tables if name not in _KEYS]
    found: dict[str, dict[str, Line]] = {"accepted": {}, "removed": {}}
    for kind, lines in found.items():
        entries = tables.get(kind, [])
        if not isinstance(entries, list):
            faults.append(f"{kind} is written [[{kind}]], in double brackets")
            continue
        for number, entry in enumerate(entries, 1):
            where = f"[[{kind}]] {number}"
            wrong = [f"{where}: {fault}" for fault in _faults(kind, entry, known, lines, today)]
            faults += wrong
            if not wrong:
                line = Line(
                    entry["benchmark"], float(entry.get("size", 0)), entry["reason"].strip(),
                    entry["expires"],
                )  # fmt: skip
                lines[line.benchmark] = line
    if faults:
        raise AcceptedFileError(faults)
    old = {name for name, *_ in _accepted_by(text) & _accepted_by(before)}
    spent = {name: line for name, line in found["accepted"].items() if name in old}
    new = {name: line for name, line in found["accepted"].items() if name not in old}
    return Accepted(new, found["removed"], spent)


def _accepted_by(text: str) -> set[tuple[str, str, str]]:
    """Benchmark, size and reason of the lines, expired or not; a base's faults are its own."""
    try:
        entries = tomllib.loads(text).get("accepted")
    except tomllib.TOMLDecodeError:
        return set()
    return {
        (str(each.get("benchmark")), str(each.get("size")), str(each.get("reason")).strip())
        for each in (entries if isinstance(entries, list) else ())
        if isinstance(each, dict)
    }


def _faults(
    kind: str,
    entry: Any,  # noqa: ANN401 - whatever TOML holds
    known: set[str],
    before: Mapping[str, Line],
    today: date,
) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield "is no table"
        return
    for name in sorted(_KEYS[kind] - entry.keys()):
        yield f"{name} is missing"
    for name in sorted(entry.keys() - _KEYS[kind]):
        yield f"{name} is not known; there are {', '.join(sorted(_KEYS[kind]))}"
    if "benchmark" in entry:
        yield from _faults_of_name(kind, entry["benchmark"], known, before)
    if kind == "accepted" and "size" in entry:
        yield from _faults_of_size(entry["size"])
    reason = entry.get("reason", "-")
    if not isinstance(reason, str) or not reason.strip():
        yield "reason is empty; say why it is accepted"
    if "expires" in entry:
        yield from _faults_of_day(entry["expires"], today)


def _faults_of_name(
    kind: str, name: object, known: set[str], before: Mapping[str, Line]
) -> Iterator[str]:
    if not isinstance(name, str):
        yield f"benchmark must be a name in quotes, not {name!r}"
    elif name in before:
        yield f"{name} stands there already; keep one line"
    elif kind == "accepted" and name not in known:
        yield f"there is no benchmark {name!r}, and no metric that decides; see declared.toml"
    elif kind == "removed" and name in known:
        yield f"{name} is declared; a benchmark that is taken out is not"


def _faults_of_size(size: object) -> Iterator[str]:
    if isinstance(size, bool) or not isinstance(size, (int, float)):
        yield f"size must be a number such as 0.08 for 8 %, not {size!r}"
    elif not 0 < size <= LARGEST:
        yield f"size must be above 0 and at most {LARGEST:g} (0.08 is 8 %), not {size:g}"


def _faults_of_day(day: object, today: date) -> Iterator[str]:
    if type(day) is not date:
        yield f"expires must be a day such as {today}, without quotes, not {day!r}"
    elif day < today:
        yield f"expired on {day}; take the line out, or have a later day reviewed"
    elif day > today + LONGEST:
        yield f"expires on {day}, more than {LONGEST.days} days ahead; choose an earlier day"
