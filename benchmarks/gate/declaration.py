"""Which benchmarks there are, and which of their metrics decide: `declared.toml`.

The file is data, so that the benchmarks of a base are known without running any of its code. A
metric is primary when it can make the gate fail; how many are primary is fixed here, before
anything is measured, since the risk of a false alarm is shared among them.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec

FILE = Path(__file__).with_name("declared.toml")
CPU_DELTA = math.log(1.03)
"""A slowdown is one by more than this: of CPU time for an iteration or a request."""
ELAPSED_DELTA = math.log(1.05)
"""Likewise of throughput and of the median latency."""
CONTROL_SHARE = 0.5
"""A control may differ between base and head by this share of its metric's delta."""

Kind = Literal["micro", "http"]
Name = Annotated[str, msgspec.Meta(pattern=r"^(micro|http)/[a-z-]+$")]


class Benchmark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the declaration.

    Attributes:
        name: KIND/NAME.
        title: for people.
        covers: folders and files of the product whose change may make it slower.
        control: whether it runs nothing of the product, so that it must not differ.
        synchronous: whether it does the same work each time, so that counting its instructions
            tells something.
    """

    name: Name
    title: str
    covers: tuple[str, ...] = ()
    control: bool = False
    synchronous: bool = False

    @property
    def kind(self) -> Kind:
        """What measures it."""
        return "micro" if self.name.startswith("micro/") else "http"

    @property
    def short(self) -> str:
        """Its name without the kind."""
        return self.name.partition("/")[2]


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of a benchmark.

    Attributes:
        name: the benchmark's and what is measured.
        unit: "s" or "1/s".
        delta: logarithm of the ratio that a slowdown has to exceed.
        more_is_better: whether a greater figure is the faster one.
        primary: whether it can make the gate fail.
    """

    name: str
    benchmark: Benchmark
    unit: str
    delta: float
    more_is_better: bool
    primary: bool


class _File(msgspec.Struct, forbid_unknown_fields=True):
    benchmark: list[Benchmark]


@dataclass(frozen=True, slots=True)
class Declaration:
    """All benchmarks."""

    benchmarks: tuple[Benchmark, ...]

    def of_kind(self, kind: Kind) -> list[Benchmark]:
        """Those that are measured in one way, in their order."""
        return [each for each in self.benchmarks if each.kind == kind]

    def names(self) -> set[str]:
        """Of all benchmarks."""
        return {each.name for each in self.benchmarks}

    def metrics(self) -> list[Metric]:
        """Every metric of every benchmark."""
        return [metric for each in self.benchmarks for metric in metrics_of(each)]

    def only(self, names: set[str]) -> Declaration:
        """These benchmarks, and the controls of their kinds.

        Raises:
            LookupError: a name is not declared.
        """
        unknown = sorted(names - self.names())
        if unknown:
            raise LookupError(f"not declared: {', '.join(unknown)}; see declared.toml")
        kinds = {each.kind for each in self.benchmarks if each.name in names}
        return Declaration(
            tuple(
                each
                for each in self.benchmarks
                if each.name in names or (each.control and each.kind in kinds)
            )
        )


def metrics_of(benchmark: Benchmark) -> list[Metric]:
    """What is measured of a benchmark."""
    primary = not benchmark.control
    cpu = Metric(f"{benchmark.name} cpu", benchmark, "s", CPU_DELTA, False, primary)  # noqa: FBT003 - a row
    if benchmark.kind == "micro" or benchmark.control:
        return [cpu]
    rows = (
        ("throughput", "1/s", True, True),
        ("p50", "s", False, True),
        ("p99", "s", False, False),
    )
    return [
        cpu,
        *(
            Metric(f"{benchmark.name} {what}", benchmark, unit, ELAPSED_DELTA, more, decides)
            for what, unit, more, decides in rows
        ),
    ]


def parse(text: str) -> Declaration:
    """Read a declaration.

    Raises:
        ValueError: it is no TOML, a line is wrong, or a name stands there twice.
    """
    try:
        found = msgspec.convert(tomllib.loads(text), _File).benchmark
    except msgspec.ValidationError as error:  # a ValueError only since msgspec 0.21
        raise ValueError(str(error)) from error
    names = [each.name for each in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"declared more than once: {', '.join(twice)}")
    return Declaration(tuple(found))


@cache
def ours() -> Declaration:
    """The declaration of this checkout."""
    return parse(FILE.read_text(encoding="utf-8"))
