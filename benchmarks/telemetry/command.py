"""`./run bench telemetry`: what metrics, logs and tracing cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from benchmarks.telemetry.arms import ARMS, BARE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.telemetry.whole import Effort

_REQUESTS = 160


@click.command()
@click.option("--part", "parts", multiple=True, type=click.Choice(["inside", "direct", "whole"]),
              help="Only this part; may be repeated.")  # fmt: skip
@click.option("--rounds", default=200, show_default=True, help="Of the part inside.")
@click.option("--requests", default=50, show_default=True, help="Of a turn of the part inside.")
# Fewer have no interval of 95 %.
@click.option("--sets", default=20, show_default=True, type=click.IntRange(min=6),
              help="Fresh stacks of the part whole.")  # fmt: skip
@click.option("--turns", default=10, show_default=True, help="Rounds of direct, sweeps of a set.")
@click.option("--arm", "arms", multiple=True, type=click.Choice(ARMS),
              help="Of the part whole, only this and the bare one; may be repeated.")  # fmt: skip
@click.option("--seconds", default=0.03, show_default=True, help="Of a slice of the part whole.")
@click.option("--seed", default=1, show_default=True, help="Of the order of turns.")
def command(  # noqa: PLR0913 - one for each option
    parts: tuple[str, ...],
    rounds: int,
    requests: int,
    sets: int,
    turns: int,
    arms: tuple[str, ...],
    seconds: float,
    seed: int,
) -> None:
    """Measure the same requests with metrics, logs, tracing and all of them, and with none.

    A ratio of 1.02 means that an arm takes 2 % more than the bare one; in brackets its 95 %
    interval. What is compared takes turns in random order.
    """
    if "inside" in parts or not parts:
        for line in _inside(rounds, requests, seed):
            click.echo(line)
    if "direct" in parts or not parts:
        for line in _direct(turns, seed):
            click.echo(line)
    if "whole" in parts or not parts:
        from benchmarks.telemetry.whole import Effort

        chosen = [arm for arm in ARMS if not arms or arm in {BARE, *arms}]
        for line in _whole(chosen, Effort(sets, turns, seconds), seed):
            click.echo(line)


def _inside(rounds: int, requests: int, seed: int) -> Iterator[str]:
    from benchmarks.telemetry.inside import measure

    yield "inside: engine and application without a network; CPU of a request"
    yield f"{'path':18}{'arm':22}{'us':>8}{'least':>8}   ratio of the least, of medians (95 %)"
    for cost in measure(rounds, requests, seed):
        figures = f"{cost.cpu_us:8.1f}{cost.least_us:8.1f}   {cost.least_ratio:.3f}"
        yield f"{cost.path:18}{cost.arm:22}{figures}   {cost.ratio}"


def _direct(rounds: int, seed: int) -> Iterator[str]:
    from benchmarks.pairs import ratio, summarise
    from benchmarks.peers.session import UnmeasuredError
    from benchmarks.telemetry.direct import measure

    try:
        found = measure(rounds, _REQUESTS, seed, lambda text: click.echo(text, err=True))
    except UnmeasuredError as error:
        raise click.ClickException(str(error)) from error
    yield "direct: one process on a port, 16 connections; CPU of the server for a request"
    yield f"{'path':18}{'arm':22}{'us':>8}{'least':>8}   ratio of medians (95 %)"
    for path, spent in found.items():
        for arm, times in spent.items():
            us, least_us = summarise(times).median_s * 1e6, min(times) * 1e6
            share = ratio(times, spent[BARE], seed)
            yield f"{path:18}{arm:22}{us:8.1f}{least_us:8.1f}   {share}"


def _whole(arms: Sequence[str], effort: Effort, seed: int) -> Iterator[str]:
    from benchmarks.peers.session import UnmeasuredError
    from benchmarks.telemetry.whole import measure

    try:
        found = measure(arms, effort, seed, lambda text: click.echo(text, err=True))
    except UnmeasuredError as error:
        raise click.ClickException(str(error)) from error
    yield "whole: through Nginx, one worker; ratios of paired loads, bare throughput by the arm's"
    yield f"{'path':18}{'arm':22}{'1/s':>8}   {'slower by':26}{'worker us':>9}   CPU ratio to bare"
    for path, figures in found.items():
        for arm in arms:
            per_second, cpu_us = figures.middle(arm)
            slower, cost = str(figures.slowdown(arm)), figures.cost(arm)
            yield f"{path:18}{arm:22}{per_second:8.0f}   {slower:26}{cpu_us:9.1f}   {cost}"
