"""What a tool found, in one form for all tools."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a tool holds against the project.

    Attributes:
        tool: by which `./run security` calls the tool.
        rule: the tool's own name of what is wrong, or the vulnerability's.
        where: file below the root, or package with its version.
        line: in that file; 0 where there is none.
        message: the tool's words, on one line.
    """

    tool: str
    rule: str
    where: str
    line: int
    message: str

    def __str__(self) -> str:
        place = f"{self.where}:{self.line}" if self.line else self.where
        return f"{self.tool} {self.rule} {place}: {self.message}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a tool.

    Attributes:
        tool: its name.
        about: what it looks at.
        findings: what it found.
        skipped: why it was not run; empty when it was.
        made: files that it wrote, below the root.
    """

    tool: str
    about: str
    findings: tuple[Finding, ...] = ()
    skipped: str = ""
    made: tuple[str, ...] = ()
