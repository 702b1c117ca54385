"""The command `./run bench`."""

from __future__ import annotations

import click

from benchmarks.lazy import LazyGroup

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
"""Modules that each hold a click command named `command`; what is large they import when used."""


@click.command(
    cls=LazyGroup, modules=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
def main() -> None:
    """Measure Windlass beside what others would use.

    What is compared runs in turns within one session of measurement. Quote ratios, not times: they
    hold on another machine, and in another hour, where times do not.
    """


if __name__ == "__main__":
    main(prog_name="./run bench")
