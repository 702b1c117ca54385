"""The commands `./run ci`, `./run security`, `./run smoke` and so on: `python -m pipeline NAME`."""

from __future__ import annotations

import sys

import click

from benchmarks.lazy import LazyGroup
from pipeline.jobs import PipelineError

_COMMANDS = {
    "ci": "pipeline.ci",
    "flake": "pipeline.flake",
    "load": "pipeline.load.command",
    "rehearse": "pipeline.rehearsal.command",
    "security": "pipeline.security.command",
    "servers": "pipeline.servers",
    "ship": "pipeline.ship.command",
    "smoke": "pipeline.smoke",
}
"""Modules that each hold a click command named `command`."""


@click.command(
    cls=LazyGroup, modules=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
def main() -> None:
    """Run what the pipeline runs."""


if __name__ == "__main__":
    try:
        main.main(prog_name="./run", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except PipelineError as error:
        click.echo(f"pipeline: {error}", err=True)
        sys.exit(1)
