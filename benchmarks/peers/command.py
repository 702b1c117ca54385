"""The command `./run bench peers`.

Each part is a module of the same interface, `measure(session) -> Part`, imported when it runs.
"""

from __future__ import annotations

import signal
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from rich.console import Console

from benchmarks import outcome

if TYPE_CHECKING:
    from types import FrameType

    from benchmarks.peers.session import Choice
    from benchmarks.report import Report

_TITLE = "Windlass beside other Python servers"
_PARTS = {
    "direct": "benchmarks.peers.direct",
    "latency": "benchmarks.peers.latency",
    "nginx": "benchmarks.peers.nginx",
    "memory": "benchmarks.peers.memory",
}
_ALWAYS = ("windlass", "windlass-logged", "bare")
_PEERS = ("tornado", "starlette", "fastapi", "flask")
_SERVERS = (*_ALWAYS[:2], *_PEERS, *_ALWAYS[2:])
_PATHS = ("/health", "/metadata", "/", "/productionplan")
_QUICK_PATHS = ("/health", "/")
_OUTPUT = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.command(
    epilog="Exit codes: 0 measured; 1 a server answered errors; 2 wrong usage; 3 something could "
    "not be measured; 130 interrupted. A wanted figure that is not reached is said and does not "
    "change the exit code."
)
@click.option(
    "--peer", "peers", multiple=True, type=click.Choice(_PEERS),
    help="Measure beside this peer only; may be given several times.  [default: all]",
)  # fmt: skip
@click.option(
    "--path", "paths", multiple=True, type=click.Choice(_PATHS),
    help="Ask for this path only; may be given several times.  [default: all]",
)  # fmt: skip
@click.option(
    "--part", "parts", multiple=True, type=click.Choice(list(_PARTS)),
    help="Measure this part only; may be given several times.  [default: all]",
)  # fmt: skip
@click.option("--rounds", type=click.IntRange(2), help="Turns of each server.  [default: 7]")
@click.option(
    "--seconds", type=click.FloatRange(0.1, 600), help="Seconds of each turn.  [default: 2]"
)
@click.option(
    "--connections", default=32, show_default=True, type=click.IntRange(1, 1000),
    help="Kept-alive connections of the load.",
)  # fmt: skip
@click.option(
    "--quick", is_flag=True,
    help="Two rounds of 0.3 s at two paths, where nothing else is asked for: one to two minutes.",
)  # fmt: skip
@click.option(
    "--seed", default=1, show_default=True, type=click.IntRange(0), help="Decides who goes when."
)
@click.option("--json", "json_file", type=_OUTPUT, help="Write every figure to this file.")
@click.option("--markdown", "markdown_file", type=_OUTPUT, help="Write the report to this file.")
@click.option(
    "--output", default=Path(".state/benchmarks"), show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the plots: peers.svg and peers.png, and peers-nginx likewise.",
)  # fmt: skip
def command(  # noqa: PLR0913 - one for each option
    *,
    peers: tuple[str, ...],
    paths: tuple[str, ...],
    parts: tuple[str, ...],
    rounds: int | None,
    seconds: float | None,
    connections: int,
    quick: bool,
    seed: int,
    json_file: Path | None,
    markdown_file: Path | None,
    output: Path,
) -> None:
    """Compare Windlass with other servers, in turns, on the same requests.

    \b
      direct   throughput and CPU of one worker on one CPU
      latency  how long answers take at half load
      nginx    throughput of two workers behind Nginx
      memory   what a worker holds

    The peers: stock Tornado with the same application, Starlette on granian, FastAPI on uvicorn,
    Flask on gunicorn; and a bare protocol that answers constant bytes, as the limit. They are
    installed into .venv-peers at the first run. All of it takes about forty minutes.
    """  # noqa: D301 - \\b is how click is told to leave the lines as they are
    from app.errors import AppError
    from benchmarks.peers import session as sessions

    outcome.check_folders(json_file, markdown_file)
    signal.signal(signal.SIGTERM, _interrupt)
    usual = sessions.QUICK if quick else sessions.FULL
    choice = sessions.Choice(
        effort=sessions.Effort(rounds or usual.rounds, seconds or usual.seconds, usual.warm_up_s),
        servers=tuple(name for name in _SERVERS if not peers or name in (*_ALWAYS, *peers)),
        paths=paths or (_QUICK_PATHS if quick else _PATHS),
        connections=connections,
        seed=seed,
        output=output,
    )
    with outcome.told(sessions.UnmeasuredError, AppError):
        report = _measure([name for name in _PARTS if name in parts or not parts], choice)
    outcome.end(report, json_file, markdown_file)


def _measure(parts: list[str], choice: Choice) -> Report:
    """Measure and print one part after the other; the goals come last here, first in a file."""
    from benchmarks.peers import goals
    from benchmarks.peers.run import machine, prepared
    from benchmarks.progress import Progress
    from benchmarks.report import Report, show_heading, show_section

    out = outcome.console()
    with prepared(choice, Progress(Console(stderr=True))) as session:
        described = machine(session)
        show_heading(_TITLE, described, out)
        found = []
        for name in parts:
            found.append(import_module(_PARTS[name]).measure(session))
            show_section(found[-1].section, out)
    wanted = goals.section([goal for part in found for goal in part.goals])
    show_section(wanted, out)
    return Report(_TITLE, described, [wanted, *(part.section for part in found)])


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """End in good order, with every process, where the command is told to end."""
    raise KeyboardInterrupt
