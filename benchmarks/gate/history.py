"""Earlier gates, one line of JSON each, and where a benchmark changed its level.

A line has what the gate of one commit found, and a fingerprint of what it ran on. Levels are only
compared within one fingerprint, and divided by the level of the control of their kind, which takes
out much of how fast the machine was that day.
"""

from __future__ import annotations

import hashlib
import math
from importlib.util import find_spec
from statistics import median
from typing import TYPE_CHECKING

import msgspec

from benchmarks.gate.declaration import metrics_of
from benchmarks.gate.rounds import differences
from benchmarks.gate.signed_rank import estimate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.gate.declaration import Declaration, Metric
    from benchmarks.gate.rounds import Record
    from benchmarks.gate.verdicts import Judgement
    from benchmarks.machine import Machine

_FEWEST = 8
_SHORTEST = 3
_DIGITS = 6
_NO_LIBRARY = (
    "a history takes the package ruptures, which is not installed; pip install ruptures, or leave "
    "--history out"
)


class HistoryError(Exception):
    """The history cannot be read or written; says which line and what to do."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One gate.

    Attributes:
        at: when, in UTC.
        commit: of the head.
        base: that it was compared with.
        fingerprint: of the environment; equal where levels may be compared.
        environment: what the fingerprint is made of.
        outcome: of the gate.
        levels: by metric: the median of the head's arms, in the metric's unit.
        ratios: by metric: head by base, as estimated.
        self_tests: comparisons of a revision with itself.
        moved: how many of them found a difference.
    """

    at: str
    commit: str
    base: str
    fingerprint: str
    environment: dict[str, str]
    outcome: str
    levels: dict[str, float]
    ratios: dict[str, float]
    self_tests: int
    moved: int


class Change(msgspec.Struct, frozen=True):
    """A metric's level changed between two entries of a history.

    Attributes:
        commit: the first at the new level.
        ratio: of the new level to the old.
    """

    metric: str
    commit: str
    at: str
    ratio: float


def entry(record: Record, judgement: Judgement, declared: Declaration, machine: Machine) -> Entry:
    """The line of a gate."""
    environment = environment_of(machine)
    metrics = [m for m in declared.metrics() if any(m.name in r.figures for r in record.rounds)]
    return Entry(
        at=machine.at,
        commit=record.head,
        base=record.base,
        fingerprint=fingerprint(environment),
        environment=environment,
        outcome=str(judgement.outcome),
        levels={m.name: _rounded(_level(record, m)) for m in metrics},
        ratios={m.name: _rounded(_ratio(record, m)) for m in metrics},
        self_tests=judgement.self_tests,
        moved=len(judgement.moved),
    )


def environment_of(machine: Machine) -> dict[str, str]:
    """What makes levels comparable: processor, kernel, Python, packages."""
    return {
        "cpu": machine.cpu,
        "cores": str(machine.cores),
        "memory_gib": f"{machine.memory_gib:g}",
        "system": machine.system,
        "python": machine.python,
        **machine.packages,
    }


def fingerprint(environment: dict[str, str]) -> str:
    """A short digest of an environment."""
    text = msgspec.json.encode(environment, order="sorted")
    return hashlib.sha256(text).hexdigest()[:12]


def check(file: Path) -> None:
    """See that a history can be used, before anything is measured for it.

    Raises:
        HistoryError: a line of it is wrong, or the library that finds changes is not installed.
    """
    read(file)
    if find_spec("ruptures") is None:
        raise HistoryError(_NO_LIBRARY)


def read(file: Path) -> list[Entry]:
    """Every entry, oldest first; none where there is no file yet.

    Raises:
        HistoryError: a line is no entry.
    """
    if not file.exists():
        return []
    entries = []
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        try:
            entries.append(msgspec.json.decode(line, type=Entry))
        except msgspec.MsgspecError as error:
            raise HistoryError(f"{file}, line {number}: {error}; take the line out") from error
    return entries


def append(file: Path, added: Entry) -> None:
    """Add one entry at the end."""
    with file.open("ab") as out:
        out.write(msgspec.json.encode(added) + b"\n")


def comparable(entries: Sequence[Entry]) -> list[Entry]:
    """Those of the same environment as the last, and valid."""
    if not entries:
        return []
    wanted = entries[-1].fingerprint
    return [e for e in entries if e.fingerprint == wanted and e.outcome not in {"ERROR", "INVALID"}]


def series(entries: Sequence[Entry], metric: Metric, declared: Declaration) -> list[float | None]:
    """Levels by the level of the control of the same kind; None where one is missing."""
    control = _control_of(metric, declared)
    found = []
    for each in entries:
        level = each.levels.get(metric.name)
        by = each.levels.get(control) if control else 1.0
        speed = 1 / by if by and metric.more_is_better else by
        found.append(level / speed if level and speed else None)
    return found


def _control_of(metric: Metric, declared: Declaration) -> str | None:
    for each in declared.of_kind(metric.benchmark.kind):
        if each.control:
            return metrics_of(each)[0].name
    return None


def changes(entries: Sequence[Entry], declared: Declaration) -> list[Change]:
    """Where the levels changed, by PELT with a penalty after the Bayesian information criterion.

    Raises:
        HistoryError: the library that finds them is not installed.
    """
    found = []
    for metric in declared.metrics():
        levels = series(entries, metric, declared)
        kept = [(e, math.log(x)) for e, x in zip(entries, levels, strict=True) if x]
        if metric.primary and len(kept) >= _FEWEST:
            found += _changes_of(metric, kept)
    return found


def _changes_of(metric: Metric, kept: list[tuple[Entry, float]]) -> list[Change]:
    values = [value for _, value in kept]
    borders = [0, *_borders(values)]
    found = []
    for start, middle, end in zip(borders, borders[1:], borders[2:], strict=False):
        step = median(values[middle:end]) - median(values[start:middle])
        slower = -step if metric.more_is_better else step
        if abs(slower) > metric.delta / 2:
            first = kept[middle][0]
            found.append(Change(metric.name, first.commit, first.at, math.exp(slower)))
    return found


def _borders(values: list[float]) -> list[int]:
    """Ends of the segments of equal level; the last is the number of values."""
    try:
        import numpy as np  # noqa: PLC0415 - with what follows
        import ruptures  # noqa: PLC0415 - an extra that only a history needs
    except ImportError as error:
        raise HistoryError(_NO_LIBRARY) from error
    steps = np.diff(values)
    # Half the median square of the steps is the noise, whatever the levels do.
    noise = max(float(np.median(steps**2)) / 2 / 0.455, 1e-12)
    penalty = 3 * noise * math.log(len(values))
    search = ruptures.Pelt(model="l2", min_size=_SHORTEST, jump=1).fit(np.array(values))
    return [int(end) for end in search.predict(pen=penalty)]


def _level(record: Record, metric: Metric) -> float:
    figures = [r.figures[metric.name] for r in record.rounds if metric.name in r.figures]
    return median([x for f in figures for x in (f.B1, f.B2)])


def _ratio(record: Record, metric: Metric) -> float:
    of = differences(record.rounds, metric.name, more_is_better=metric.more_is_better)
    return math.exp(estimate(of))


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
