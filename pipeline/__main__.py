"""The commands `./run ci`, `./run security`, `./run smoke` and so on: `python -m pipeline NAME`."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from pipeline.jobs import PipelineError

_COMMANDS = {
    "ci": "pipeline.ci",
    "load": "pipeline.load.command",
    "rehearse": "pipeline.rehearsal.command",
    "security": "pipeline.security.command",
    "ship": "pipeline.ship.command",
    "smoke": "pipeline.smoke",
}
"""Modules that each hold a click command named `command`."""


class _Pipeline(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own form
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(_COMMANDS[cmd_name]).command
        return command


@click.command(cls=_Pipeline, context_settings={"help_option_names": ["-h", "--help"]})
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
