"""How a benchmark's command ends: its files, its exit code, and its words on the terminal."""

from __future__ import annotations

import sys
import traceback
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, NoReturn

import click
from click.exceptions import Exit
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.report import Report

UNMEASURED, INTERRUPTED = 3, 130
_WIDTH_WITHOUT_TERMINAL = 160


def check_folders(*files: Path | None) -> None:
    """Refuse now what could not be written after half an hour.

    Raises:
        click.UsageError: a file's folder is not there.
    """
    for file in files:
        if file is not None and not file.parent.is_dir():
            raise click.UsageError(f"{file}: there is no folder {file.parent}; make it first")


def console() -> Console:
    """Where a report is shown; wide enough for its tables where it is no terminal."""
    out = Console(highlight=False)
    if not out.is_terminal:
        out.width = _WIDTH_WITHOUT_TERMINAL
    return out


def make_folder(folder: Path) -> None:
    """Make the folder of the files that are written at the end, and see now that it takes them.

    Raises:
        click.UsageError: it does not.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        raise click.UsageError(f"nothing can be written into {folder}: {error}") from error


@contextmanager
def told(
    *unmeasured: type[Exception], also: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Within, what cannot be measured or is interrupted ends the command with a sentence.

    So does what nobody has foreseen, after its traceback: Python itself would exit with 1, which
    says that something was measured and is bad.

    Args:
        unmeasured: errors that say what could not be measured, and why.
        also: told the sentence.
    """
    try:
        yield
    except unmeasured as error:
        click.echo(f"bench: {error}", err=True)
        with suppress(OSError):  # whoever reads the exit code has that at least
            also(str(error))
        sys.exit(UNMEASURED)
    except KeyboardInterrupt:
        click.echo("bench: interrupted", err=True)
        sys.exit(INTERRUPTED)
    except (click.ClickException, click.Abort, Exit):
        raise
    except Exception as error:  # noqa: BLE001 - what it is was not foreseen
        traceback.print_exc()
        sentence = f"a fault of the benchmarks themselves: {error!r}"
        click.echo(f"bench: {sentence}", err=True)
        with suppress(OSError):
            also(sentence)
        sys.exit(UNMEASURED)


def end(report: Report, json_file: Path | None, markdown_file: Path | None) -> NoReturn:
    """Write the files that are asked for, and exit: 1 where the report has failures."""
    if json_file:
        json_file.write_bytes(report.json())
    if markdown_file:
        markdown_file.write_text(report.markdown(), encoding="utf-8")
    sys.exit(1 if report.failures else 0)
