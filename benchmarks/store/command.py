"""`./run bench store`: what a command costs, and whether every reply reaches its caller."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

_CALLERS = (1, 16, 64, 256)


@click.command()
@click.option("--turns", default=15, show_default=True, help="Turns of each side; 0: no costs.")
@click.option("--calls", default=1_000_000, show_default=True, help="Of the storm; 0: no storm.")
@click.option("--callers", default=300, show_default=True, help="Callers at once in the storm.")
@click.option("--seed", default=1, show_default=True, help="Of the storm's random numbers.")
def command(turns: int, calls: int, callers: int, seed: int) -> None:
    """Measure the store beside redis-py, then break its connections under tagged calls."""
    if turns:
        for line in _costs(turns):
            click.echo(line)
    if calls:
        for line in _storm(calls, callers, seed):
            click.echo(line)


def _costs(turns: int) -> Iterator[str]:
    import asyncio

    import uvloop

    from benchmarks.store.cost import measure
    from benchmarks.store.server import running

    yield "CPU of this process for one count_visit, in microseconds; ratios of paired turns"
    yield " callers   redis-py   windlass   ratio (least to most)   batch"
    with running() as server, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for callers in _CALLERS:
            cost = runner.run(measure(server.address, callers, turns))
            middle = cost.ratios[len(cost.ratios) // 2]
            spread = f"{middle:5.1f} ({cost.ratios[0]:.1f} to {cost.ratios[-1]:.1f})"
            yield (
                f"{cost.callers:8d} {cost.stock_us:10.1f} {cost.windlass_us:10.1f}"
                f"   {spread:21s} {cost.batch:7.1f}"
            )


def _storm(calls: int, callers: int, seed: int) -> Iterator[str]:
    import asyncio
    import sys
    import time

    import uvloop

    from app import log
    from benchmarks.store.server import running
    from benchmarks.store.storm import run

    log.configure(as_json=False, level="warning", stream=sys.stderr)
    begun = time.monotonic()
    with running() as server, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        tally, counters = runner.run(run(server.path, calls=calls, callers=callers, seed=seed))
    yield (
        f"storm: {tally.calls} calls by {callers} callers in {time.monotonic() - begun:.1f} s: "
        f"{len(tally.wrong)} wrong replies, {tally.right} right, {tally.cancelled} cancelled, "
        f"{tally.unknown} of unknown outcome, {tally.not_executed} not executed"
    )
    yield (
        f"       {tally.resets} connections reset, {counters.connected} made, "
        f"{counters.commands / counters.batches:.1f} commands a batch, "
        f"{counters.discarded} replies discarded"
    )
    yield from tally.wrong[:20]
    if tally.wrong:
        raise click.ClickException("replies reached the wrong callers")
