"""The command `./run rehearse`."""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

import click

from pipeline.jobs import PipelineError


@click.command(
    "rehearse", epilog="Exit codes: 0 every stage did as it should; 1 one did not; 2 wrong usage."
)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the transcript there."
)
def command(output: Path | None) -> None:
    """Take a change through the whole pipeline, then one that is stopped at each stage.

    On one host of staging and three of production, made of namespaces: needs root, Nix' tools and
    OpenSSH's server, and no network. Takes about ten minutes.
    """
    from pipeline.rehearsal.scenes import SCENES, play  # noqa: PLC0415 - needs tests
    from pipeline.rehearsal.stage import Stage  # noqa: PLC0415
    from pipeline.rehearsal.transcript import Transcript  # noqa: PLC0415
    from tests.release_site import why_not  # noqa: PLC0415

    if reason := why_not():
        raise PipelineError(f"no servers can be made here: {reason}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # its servers end with it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="windlass-rehearsal-") as folder:
        stage, told = Stage(Path(folder)), Transcript(Path(folder))
        try:
            play(SCENES, stage, told)
        finally:
            if output:
                output.write_text(told.markdown(), encoding="utf-8")
            stage.down()
    for each in told.wrong:
        click.echo(f"NOT as it should: {each}")
    click.echo("RED" if told.wrong else "GREEN: every stage did as it should")
    sys.exit(1 if told.wrong else 0)
