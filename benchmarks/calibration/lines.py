"""What is kept of a calibration: one line of JSON for each gate.

A line has every figure that the gate judged, so its verdict can be given again by anybody; figures
are whole numbers of four digits with one scale for each metric, which makes a line a third as long.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import msgspec

from benchmarks.calibration.injections import INJECTIONS
from benchmarks.gate.rounds import Figures, Record, Round

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Part = Literal["aa", "injected", "busy"]
Four = tuple[int, int, int, int]
_DIGITS = 4


class LinesError(Exception):
    """A file of lines cannot be used; says which line and what to do."""


class Case(msgspec.Struct, frozen=True):
    """What is to be run.

    Attributes:
        part: "aa" and "busy" compare a commit with itself.
        injection: name of the slowdown; empty for none.
        number: of the run within its part and injection, which decides its seed.
    """

    part: Part
    injection: str
    number: int

    def __str__(self) -> str:
        return " ".join(word for word in (self.part, self.injection, f"run {self.number}") if word)


class Scaled(msgspec.Struct, frozen=True, array_like=True):
    """One metric in every round: whole numbers, and what one of them is in the metric's unit."""

    unit: float
    rounds: list[Four]

    def figures(self) -> list[Figures]:
        """The figures of each round."""
        return [Figures(*(value * self.unit for value in of)) for of in self.rounds]


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of a gate.

    Attributes:
        case: what was run.
        commit: that was compared with itself.
        at: when it ended, in UTC.
        cpus: how many the gate might use.
        load: average number of processes that wanted a CPU in its last minute.
        outcome: of the gate.
        rounds: how many it took.
        seconds: likewise.
        red: metrics that were called slower.
        open: how many primary metrics were left undecided or in quarantine.
        resolutions: by metric: the smallest ratio that could have been seen.
        estimates: by metric: the ratio that was found.
        others: by rule: the metrics that it would have called slower.
        controls: controls that moved.
        moved: how many of `self_tests` comparisons of a revision with itself found a difference.
        failures: what could not be measured.
        figures: by metric: A1, A2, B1, B2 of each round.
        means: likewise what a rule that looks at means would see.
    """

    case: Case
    commit: str
    at: str
    cpus: int
    load: float
    outcome: str
    rounds: int
    seconds: float
    red: list[str]
    open: int
    resolutions: dict[str, float]
    estimates: dict[str, float]
    others: dict[str, list[str]]
    controls: list[str] = []
    moved: int
    self_tests: int
    failures: list[str] = []
    figures: dict[str, Scaled]
    means: dict[str, Scaled] = {}


def read(file: Path, *, must_be: bool = False) -> list[Line]:
    """Every line of a file.

    Args:
        file: which; without it there are no lines.
        must_be: whether a file that is not there, or is empty, is an error.

    Raises:
        LinesError: it cannot be read, or a line is wrong or stands there twice.
    """
    try:
        written = file.read_bytes().splitlines() if must_be or file.exists() else []
    except OSError as error:
        raise LinesError(
            f"{file} cannot be read ({error.strerror}); measure first, or name another by --lines"
        ) from error
    if must_be and not written:
        raise LinesError(f"{file} is empty; measure first, or name another by --lines")
    found: dict[Case, Line] = {}
    for number, line in enumerate(written, 1):
        try:
            made = msgspec.json.decode(line, type=Line)
        except msgspec.MsgspecError as error:
            raise LinesError(
                f"{file}, line {number} is no gate of a calibration: {error}; take the line out"
            ) from error
        if (made.case.part == "injected" or made.case.injection) and (
            made.case.injection not in INJECTIONS
        ):
            raise LinesError(
                f"{file}, line {number}: there is no injection {made.case.injection!r}"
            )
        if made.case in found:
            raise LinesError(f"{file}, line {number}: {made.case} stands there twice; keep one")
        found[made.case] = made
    return list(found.values())


def append(file: Path, line: Line) -> None:
    """Add one line at the end."""
    with file.open("ab") as out:
        out.write(msgspec.json.encode(line) + b"\n")


def scaled(figures: Iterable[Figures]) -> Scaled:
    """Figures as whole numbers; the least has four digits."""
    of = list(figures)
    least = min(value for each in of for value in (each.A1, each.A2, each.B1, each.B2))
    unit = 10.0 ** (math.floor(math.log10(least)) - _DIGITS + 1)
    return Scaled(
        unit,
        [
            (round(f.A1 / unit), round(f.A2 / unit), round(f.B1 / unit), round(f.B2 / unit))
            for f in of
        ],
    )


def record_of(line: Line) -> Record:
    """The rounds of a line, as far as a verdict takes them.

    A metric that was decided at the first look has fewer rounds than one that was not: the first.
    """
    figures = {name: of.figures() for name, of in line.figures.items()}
    means = {name: of.figures() for name, of in line.means.items()}
    rounds = [
        Round(
            order="ABBA", hash_seed=0, padding=0, seconds=0,
            figures={name: of[n] for name, of in figures.items() if n < len(of)},
            means={name: of[n] for name, of in means.items() if n < len(of)},
        )
        for n in range(line.rounds)
    ]  # fmt: skip
    return Record(base=line.commit, head=line.commit, quick=False, rounds=rounds)
