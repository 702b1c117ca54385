"""Reports of measurements: for the terminal, as Markdown, as JSON.

A report is a machine and sections; a section is sentences, tables, and the plain data behind them.
The three forms say the same: what is rounded in a table is whole in the JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
from rich.table import Table as RichTable
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from benchmarks.machine import Machine


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under titles; the first `words` columns are words, the rest are figures."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    words: int = 1


@dataclass(frozen=True, slots=True)
class Section:
    """What one part of a benchmark found.

    Attributes:
        name: one word, the section's key in the JSON.
        title: for people.
        notes: sentences: what was done, and what came of it.
        tables: the figures.
        data: dataclasses, lists, dicts and numbers behind the tables.
        failures: sentences; with any, the benchmark's exit code says that it failed.
    """

    name: str
    title: str
    notes: list[str]
    tables: list[Table]
    data: object
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured, and on what."""

    title: str
    machine: Machine
    sections: list[Section]

    @property
    def failures(self) -> list[str]:
        """Every section's failures."""
        return [failure for section in self.sections for failure in section.failures]

    def markdown(self) -> str:
        """The report as Markdown."""
        about = Table(("measured on", ""), self.machine.rows(), words=2)
        blocks = [f"# {self.title}", _markdown_table(about)]
        for section in self.sections:
            blocks += [f"## {section.title}", *section.notes]
            blocks += [f"**{failure}**" for failure in section.failures]
            blocks += [_markdown_table(table) for table in section.tables]
        return "\n\n".join(blocks) + "\n"

    def json(self) -> bytes:
        """The report's data, with all digits."""
        found = {
            "benchmark": self.title,
            "machine": self.machine,
            "failures": self.failures,
            **{section.name: section.data for section in self.sections},
        }
        return msgspec.json.format(msgspec.json.encode(found)) + b"\n"


def show_heading(title: str, machine: Machine, console: Console) -> None:
    """Print what the sections that follow were measured on."""
    console.print(Text(title, style="bold"))
    for name, text in machine.rows():
        console.print(Text(f"{name:10}", style="dim").append(text, style="not dim"))


def show_section(section: Section, console: Console) -> None:
    """Print one section."""
    console.print()
    console.print(Text(section.title, style="bold"))
    for note in section.notes:
        console.print(Text(note))
    for failure in section.failures:
        console.print(Text(f"FAILED: {failure}", style="red"))
    for table in section.tables:
        console.print()
        console.print(_rich_table(table))


def duration(seconds: float) -> str:
    """A time with three digits, in the unit in which it is read best."""
    for limit, unit, name in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if seconds < limit:
            return f"{_three_digits(seconds * unit)} {name}"
    return f"{_three_digits(seconds)} s"


def _three_digits(value: float) -> str:
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{decimals}f}"


def _rich_table(table: Table) -> RichTable:
    shown = RichTable(box=None, pad_edge=False)
    for number, title in enumerate(table.columns):
        shown.add_column(title, justify="left" if number < table.words else "right")
    for row in table.rows:
        shown.add_row(*map(Text, row))
    return shown


def _markdown_table(table: Table) -> str:
    rule = ["---" if number < table.words else "---:" for number in range(len(table.columns))]
    lines = [table.columns, rule, *table.rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
