"""The command `./run bench`."""

from __future__ import annotations

from importlib import import_module

import click

_COMMANDS = {
    "calibrate": "benchmarks.calibration.command",
    "chaos": "benchmarks.chaos.command",
    "dispatch": "benchmarks.dispatch.command",
    "fuzz": "benchmarks.fuzz.command",
    "gate": "benchmarks.gate.command",
    "peers": "benchmarks.peers.command",
    "store": "benchmarks.store.command",
    "telemetry": "benchmarks.telemetry.command",
}
"""Modules that each hold a click command named `command`. They import what is large when it is
asked for, so that `--help` waits for nothing."""


class _Benchmarks(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own form
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(_COMMANDS[cmd_name]).command
        return command


@click.command(cls=_Benchmarks, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure Windlass beside what others would use.

    What is compared runs in turns within one session of measurement. Quote ratios, not times: they
    hold on another machine, and in another hour, where times do not.
    """


if __name__ == "__main__":
    main(prog_name="./run bench")
