"""What the commands of the stack show people: its status, a production plan, its logs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from app.planning import DetailedAnswer
    from app.stack.status import StackStatus


def show_status(found: StackStatus) -> None:
    """Print how the stack is: up, process by process, or down, with what is left of it."""
    from rich.console import Console
    from rich.table import Table

    if not found.running:
        click.echo("The stack is down; start it with: windlass up -d")
        for name, pids in found.leftovers.items():
            left = ", ".join(map(str, pids))
            click.echo(f"left over of {name}: process {left}; end it with: windlass down")
        return
    click.echo(f"{found.environment}, release {found.release}, Redis {found.redis}")
    click.echo("  ".join(found.addresses))
    if found.problem:
        click.echo(found.problem)
    if found.reload:
        click.echo(f"last reload: {found.reload}")
    table = Table(box=None, pad_edge=False)
    for title in ("process", "state", "pid", "up", "restarts", "release", "last exit"):
        numeric = title in {"pid", "up", "restarts"}
        table.add_column(title, justify="right" if numeric else "left")
    for process in found.processes:
        table.add_row(
            process.name, process.state, str(process.pid), duration(process.uptime_s),
            str(process.restarts), process.release, process.last_exit,
        )  # fmt: skip
    Console(highlight=False).print(table)


def show_plan(found: DetailedAnswer) -> None:
    """Print a production plan with the reason for each plant."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("plant", "type", "euro/MWh", "MW", "of", "why"):
        numeric = title in {"euro/MWh", "MW", "of"}
        table.add_column(title, justify="right" if numeric else "left")
    for plant in found.plants:
        table.add_row(
            plant.name, plant.type, f"{plant.marginal_cost:.2f}", f"{plant.p:.1f}",
            f"{plant.pmax:.1f}", plant.reason.replace("-", " "), style=None if plant.on else "dim",
        )  # fmt: skip
    Console(highlight=False).print(table)
    price = "none" if found.marginal_price is None else f"{found.marginal_price:.2f} euro/MWh"
    click.echo(f"load {found.load:.1f} MW, cost {found.cost:.2f} euro/h, marginal price {price}, "
               f"CO2 {found.co2:.2f} t/h")  # fmt: skip


def show_line(name: str, line: str) -> None:
    """Print a line of a program's log."""
    click.echo(click.style(f"{name:11} ", fg="cyan") + line, color=color())


def color() -> bool | None:
    """Whether text is coloured, as click takes it."""
    # None lets click decide by whether the stream is a terminal; see no-color.org.
    return False if os.environ.get("NO_COLOR") else None


def duration(seconds: float) -> str:
    """Two units of a duration."""
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days}d {hours}h"
    return f"{hours}h {minutes}m" if hours else f"{minutes}m {whole % 60}s"
