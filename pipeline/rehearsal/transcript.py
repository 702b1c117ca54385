"""What a rehearsal tells: on the terminal as it goes on, and as a Markdown file."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import click

from pipeline.jobs import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.rehearsal.stage import Done

_LAST_LINES = 12
_LONGEST = 110
_HASH = re.compile(r"/nix/store/([0-9a-z]{5})[0-9a-z]{27}-")

_ABOUT = (
    "What `./run rehearse` said. One host of staging and three of production are made of "
    "namespaces on one machine; each has a root, a Nix store and an sshd of its own. The releases "
    "are put into the deployer's store as they are, and not built by Nix. Nothing else is other "
    "than in the pipeline: the commands are those of the workflows."
)


class Transcript:
    """Keeps what is told.

    Args:
        hidden: folder of this rehearsal, which means nothing to a reader.
    """

    def __init__(self, hidden: Path) -> None:
        self._hidden = str(hidden)
        self._lines: list[str] = []
        self._rows: list[tuple[str, str, str]] = []
        self._scene = ""
        self._begun = time.monotonic()
        self.wrong: list[str] = []

    def scene(self, title: str) -> None:
        """Begin a scene."""
        self._scene = title
        self._write("", f"## {title}", "")
        click.echo(f"rehearse: {title}", err=True)

    def say(self, text: str) -> None:
        """Tell something that no command says."""
        self._write(self._clean(text), "")

    def step(self, stage: str, done: Done, wanted: int) -> None:
        """Tell of a command, and whether it ended as it should."""
        is_right = done.code == wanted
        word = "passes" if done.code == 0 else "stops it"
        if not is_right:
            word = f"NOT as it should: exit code {done.code}"
            self.wrong.append(f"{self._scene}: {stage}")
        lines = [self._clean(x) for x in done.output.splitlines() if x.strip()]
        shown = [line[:_LONGEST] for line in lines[-_LAST_LINES:]]
        self._write(
            f"**{stage}** {word} (exit code {done.code}, {done.seconds:.0f} s)", "",
            *(f"    {line}" for line in (f"$ {self._clean(done.shown)}", *shown)), "",
        )  # fmt: skip
        self._row(stage, word, f" after {done.seconds:.0f} s")

    def fault(self, error: Exception) -> None:
        """Tell that the scene ended before its end, which is nobody's verdict on what came."""
        text = self._clean(f"{type(error).__name__}: {error}")
        self.wrong.append(f"{self._scene}: {text}")
        lines = [line[:_LONGEST] for line in text.splitlines()[:_LAST_LINES]]
        self._write("**NOT to its end:**", "", *(f"    {line}" for line in lines), "")
        self._row("the scene itself", f"NOT to its end: {lines[0]}")

    def left_out(self, needed: str) -> None:
        """Tell that the scene was not played, since one that it builds on had no end."""
        self.wrong.append(f"{self._scene}: not played")
        self._write(f'**NOT played:** it builds on "{needed}".', "")
        self._row("the scene itself", "NOT played")

    def runs(self, found: dict[str, str], wanted: set[str]) -> None:
        """Tell what every host runs, and whether it should."""
        for host, path in found.items():
            self._write(f"- {host} runs `{self._clean(path)}`")
        self._write("")
        if set(found.values()) != wanted:
            self.wrong.append(f"{self._scene}: the hosts run another release than they should")
            self._write("**NOT as it should.**", "")

    def markdown(self) -> str:
        """All of it."""
        seconds = time.monotonic() - self._begun
        head = [
            "# A rehearsal",
            "",
            _ABOUT,
            "",
            f"It took {seconds / 60:.0f} minutes.",
            "",
            "| what came | stage | what the stage did |",
            "|---|---|---|",
            *(f"| {scene} | {stage} | {word} |" for scene, stage, word in self._rows),
        ]
        return "\n".join([*head, *self._lines]).rstrip() + "\n"

    def _row(self, stage: str, word: str, more: str = "") -> None:
        self._rows.append((self._scene, stage, word.replace("|", "/")))
        click.echo(f"rehearse: {stage} {word}{more}", err=True)

    def _write(self, *lines: str) -> None:
        self._lines.extend(lines)

    def _clean(self, text: str) -> str:
        told = text.replace(self._hidden, "FOLDER").replace(str(ROOT), "CHECKOUT")
        return _HASH.sub(r"/nix/store/\1...-", told)
