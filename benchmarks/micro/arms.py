"""The processes of a round: all micro benchmarks under pytest-benchmark, and what each found."""

from __future__ import annotations

import re
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from benchmarks.micro.turns import Turns
from benchmarks.micro.work import SWEEPS
from benchmarks.peers.processes import Command, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_FOLDER = "benchmarks/micro"
_FILE = f"{_FOLDER}/bench_micro.py"
_TIMEOUT_S = 120.0
_REASON = re.compile(
    r"^(?:FAILED|ERROR) \S*\[(?:\d+-)?(?P<name>[a-z-]+)\] - (?P<reason>.*)$", re.MULTILINE
)
_LAST_LINES = 3
_Arm = TypeVar("_Arm", bound=str)


@dataclass(frozen=True, slots=True)
class Found:
    """What one process found.

    The least is the figure that is compared. The work is the same each time, so whatever takes
    longer was disturbed from outside; on a busy machine the median of one process differs from
    that of the next by a fifth, the least by a few per cent.

    Attributes:
        least_s: CPU time of one repetition in the fastest round of all sweeps, by short name.
        means_s: likewise the mean of all rounds.
        failures: a sentence for each benchmark that gave nothing.
    """

    least_s: dict[str, float] = field(default_factory=dict)
    means_s: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Process:
    """How a process of an arm is started.

    Attributes:
        root: checkout of the arm.
        python: its interpreter.
        environ: what it has in its environment.
        cpu: to keep to.
        result: file that pytest-benchmark writes.
        bare: whether the work is timed without pytest.
    """

    root: Path
    python: Path
    environ: Mapping[str, str]
    cpu: int | None
    result: Path
    bare: bool = False

    @property
    def log(self) -> Path:
        """File that takes what it says."""
        return self.result.with_suffix(".log")


def run(
    processes: Mapping[_Arm, Process],
    names: Sequence[str],
    seconds: float,
    step: Callable[[], None],
) -> dict[_Arm, Found]:
    """Run micro benchmarks in fresh processes, which take turns with each sweep.

    Args:
        processes: how to start each, by arm, in the order of their turns.
        names: of the benchmarks, short.
        seconds: CPU time of each, about.
        step: called after each sweep of all processes.
    """
    late: set[_Arm] = set()
    with ExitStack() as stack:
        turns = {
            arm: stack.enter_context(_started(process, names, seconds))
            for arm, process in processes.items()
        }
        # Nobody begins before the last has loaded what it needs: that is work too.
        _each(turns, Turns.wait, late)
        for _ in range(SWEEPS):
            _each(turns, Turns.take, late)
            step()
    return {
        arm: Found(failures=dict.fromkeys(names, f"no end within {_TIMEOUT_S:.0f} s"))
        if arm in late
        else read(process.result, names, process.log.read_text(errors="replace"))
        for arm, process in processes.items()
    }


def _each(turns: Mapping[_Arm, Turns], move: Callable[[Turns], None], late: set[_Arm]) -> None:
    """Make a move with one after the other, but for those that were too late with one."""
    for arm, each in turns.items():
        try:
            if arm not in late:
                move(each)
        except TimeoutError:
            late.add(arm)


@contextmanager
def _started(process: Process, names: Sequence[str], seconds: float) -> Iterator[Turns]:
    process.result.unlink(missing_ok=True)
    process.log.unlink(missing_ok=True)
    with closing(Turns(_TIMEOUT_S)) as turns:
        environ = {**_environ(process), **turns.environ}
        command = Command(argv(process, names, seconds), environ, process.root)
        with running(command, process.log, process.cpu, (turns.far.fileno(),)):
            turns.began()
            yield turns


def argv(process: Process, names: Sequence[str], seconds: float) -> tuple[str, ...]:
    """The command of pytest, or of what stands in its place."""
    if process.bare:
        module = "benchmarks.micro.bare"
        return (str(process.python), "-m", module, str(process.result), str(seconds), *names)
    return (
        str(process.python), "-m", "pytest", "-c", f"{_FOLDER}/pytest.ini", "--rootdir", ".",
        "-p", "pytest_benchmark.plugin", "-p", "no:cacheprovider", "-q", "-rfE", "--tb=no",
        "--benchmark-timer=time.process_time", f"--benchmark-json={process.result}",
        "--benchmark-warmup=off", f"--seconds={seconds}",
        *(f"{_FILE}::bench[{sweep}-{name}]" for sweep in range(SWEEPS) for name in names),
    )  # fmt: skip


def _environ(process: Process) -> dict[str, str]:
    # Other plugins of pytest cost time to import, and some watch what the benchmarks do.
    return {
        **process.environ,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "COLUMNS": "400",
    }


def read(result: Path, names: Sequence[str], said: str) -> Found:
    """Read what pytest-benchmark wrote.

    Args:
        result: its file.
        names: that were asked for.
        said: what pytest said, for the reasons of what is missing.
    """
    found = Found()
    try:
        written: dict[str, Any] = msgspec.json.decode(result.read_bytes())
    except (OSError, msgspec.DecodeError):
        written = {}
    means: dict[str, list[float]] = {}
    for each in written.get("benchmarks", []):
        name = each["params"]["name"]
        least, mean = float(each["stats"]["min"]), float(each["stats"]["mean"])
        if least > 0 and not each.get("has_error"):
            means.setdefault(name, []).append(mean)
            found.least_s[name] = min(least, found.least_s.get(name, least))
    found.means_s.update((name, fmean(of)) for name, of in means.items())
    reasons = {match["name"]: match["reason"] for match in _REASON.finditer(said)}
    last = " / ".join(said.strip().splitlines()[-_LAST_LINES:])
    for name in names:
        if name not in found.least_s:
            found.failures[name] = reasons.get(name, last or "it said nothing")
    return found
