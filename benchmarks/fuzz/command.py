"""`./run bench fuzz`: hostile bytes for the HTTP engine, in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.fuzz.campaign import Tally


@click.command()
@click.option("--reader", default=1_000_000, show_default=True, help="Inputs for the reader.")
@click.option("--server", default=1_000_000, show_default=True, help="Inputs for connections.")
@click.option("--others", default=200_000, show_default=True, help="Inputs for stock and h11 too.")
@click.option("--rounds", default=15, show_default=True, help="Of timing growth; 0: none.")
@click.option("--seed", default=1, show_default=True, help="Of the inputs.")
def command(reader: int, server: int, others: int, rounds: int, seed: int) -> None:
    """Send hostile bytes to the HTTP engine; ask how its time grows with size.

    Inputs come from a grammar, sound and with faults, and go to the reader alone, to whole
    connections in memory, and to stock Tornado and h11, whose framing must be the engine's.
    """
    from benchmarks.fuzz import campaign

    tallies = [
        (name, run(count, seed))
        for name, run, count in (
            ("reader", campaign.read, reader),
            ("server", campaign.serve, server),
            ("others", campaign.compare, others),
        )
        if count
    ]
    for name, tally in tallies:
        for line in _told(name, tally):
            click.echo(line)
    slow = list(_growth(rounds)) if rounds else []
    if slow or any(tally.findings for _, tally in tallies):
        raise click.ClickException("there are findings")


def _told(name: str, tally: Tally) -> Iterator[str]:
    rate = tally.inputs / tally.seconds
    yield f"{name}: {tally.inputs} inputs in {tally.seconds:.0f} s ({rate:.0f} a second)"
    yield (
        f"  {len(tally.findings)} findings; {tally.grown_objects:+d} objects, "
        f"{tally.grown_bytes >> 10:+d} KiB since warm; {tally.left} of a connection left"
    )
    for kind, count in tally.kinds.most_common():
        yield f"  {count:9d}  {kind}"
    for what, data in tally.findings.items():
        yield f"  FOUND {what}\n        {data!r}"


def _growth(rounds: int) -> Iterator[str]:
    """Print how time grows; the kinds for which it grows too much."""
    from benchmarks.fuzz.growth import KINDS, ratio

    click.echo("time at twice the size, in times (least of the runs, in turns)")
    for kind in KINDS:
        times = ratio(kind, rounds)
        click.echo(f"  {times:5.2f}  of {kind.allowed}  {kind.name}, {kind.size} and twice that")
        if times > kind.allowed:
            yield kind.name
