"""Runs the self-test: each command green unbroken, then red, by name, for each broken thing."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.selftest.breaks import BREAKS
from pipeline.selftest.clone import Clone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.selftest.breaks import Break
    from pipeline.selftest.clone import Ended

_LAST_LINES = 15


@dataclass(frozen=True, slots=True)
class Row:
    """One break, and what came of it."""

    broken: Break
    unbroken: Ended
    ended: Ended

    @property
    def holds(self) -> bool:
        """Whether the command was green before and red because of it."""
        return self.unbroken.code == 0 and self.ended.code == 1 and self.names_it

    @property
    def names_it(self) -> bool:
        """Whether the command gives the break as its reason, and did not do so before."""
        says = self.broken.says
        return says in self.ended.output and says not in self.unbroken.output


def run(jobs: Sequence[str], markdown_file: Path | None) -> int:
    """Break everything, or what concerns some jobs; returns the exit code."""
    wanted = [one for one in BREAKS if not jobs or one.job in jobs]
    if not wanted:
        known = ", ".join(dict.fromkeys(one.job for one in BREAKS))
        raise click.UsageError(f"nothing is broken for {', '.join(jobs)}; there is: {known}")
    with tempfile.TemporaryDirectory(prefix="windlass-selftest-") as folder:
        clone = Clone(Path(folder, "clone"))
        rows = _rows(clone, wanted)
    text = table(rows)
    click.echo(text)
    if markdown_file:
        markdown_file.write_text(text, encoding="utf-8")
    return 0 if all(row.holds for row in rows) else 1


def table(rows: Sequence[Row]) -> str:
    """What came of it, as Markdown."""
    lines = [
        "| what is broken | the pipeline's own command | unbroken | broken | it says | seconds |",
        "|---|---|---|---|---|---:|",
    ]
    lines += [
        f"| {row.broken.what} | `{' '.join(row.broken.argv)}` | {_word(row.unbroken)} | "
        f"{_word(row.ended)} | {_reason(row)} | {row.ended.seconds:.0f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def _rows(clone: Clone, breaks: Sequence[Break]) -> list[Row]:
    unbroken: dict[tuple[str, ...], Ended] = {}
    rows = []
    for one in breaks:
        if one.argv not in unbroken:
            unbroken[one.argv] = _told(f"{' '.join(one.argv)}, unbroken", clone.run(one.argv), 0)
        ended = _told(f"{one.job}: {one.what}", clone.broken(one), 1)
        rows.append(row := Row(one, unbroken[one.argv], ended))
        if not row.names_it:
            click.echo(f"selftest: {one.what}: NOT as it should: {_reason(row)}", err=True)
    return rows


def _told(what: str, ended: Ended, wanted: int) -> Ended:
    is_right = ended.code == wanted
    mark = "as it should" if is_right else f"NOT as it should: exit code {ended.code}"
    click.echo(f"selftest: {what}: {_word(ended)} after {ended.seconds:.0f} s, {mark}", err=True)
    if not is_right:
        last = ended.output.splitlines()[-_LAST_LINES:]
        click.echo("\n".join(f"    {line}" for line in last), err=True)
    return ended


def _reason(row: Row) -> str:
    return f"`{row.broken.says}`" if row.names_it else f"**nothing of** `{row.broken.says}`"


def _word(ended: Ended) -> str:
    return {0: "green", 1: "**red**"}.get(ended.code, f"exit code {ended.code}")
