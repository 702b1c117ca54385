"""Findings that somebody has looked at and bears with: `waivers.toml`, reviewed like code.

Each has a reason and a last day, at most half a year ahead. From the day after it, it is a failure,
and so is one that no finding needs any more: the file says what is borne now, and nothing else.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.security.findings import Finding, Outcome

FILE = Path(__file__).with_name("waivers.toml")
LONGEST = timedelta(days=183)
_SHORTEST_REASON = 20
_ENTRIES = {"tool", "rule", "where", "reason", "expires"}


@dataclass(frozen=True, slots=True)
class Waiver:
    """One finding, or several alike, that is borne until a day.

    Attributes:
        tool: whose finding.
        rule: the tool's name of it.
        where: file or package; `*` stands for any text.
        reason: why it is borne.
        expires: the last day.
    """

    tool: str
    rule: str
    where: str
    reason: str
    expires: date

    def covers(self, finding: Finding) -> bool:
        """Whether this is about a finding."""
        return (self.tool, self.rule) == (finding.tool, finding.rule) and fnmatchcase(
            finding.where, self.where
        )


@dataclass(frozen=True, slots=True)
class Judged:
    """All findings, parted.

    Attributes:
        borne: with the waiver that covers each.
        open: that no waiver covers.
        faults: of the waivers, as sentences.
    """

    borne: tuple[tuple[Finding, Waiver], ...]
    open: tuple[Finding, ...]
    faults: tuple[str, ...]


def parse(text: str, today: date) -> tuple[list[Waiver], list[str]]:
    """The waivers in force and what is wrong with the rest; a wrong one covers nothing."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return [], [f"it cannot be read: {error}"]
    faults = [f"unknown: {name}" for name in tables if name != "waiver"]
    waivers = []
    for number, entries in enumerate(tables.get("waiver", []), 1):
        if fault := _fault(entries, today):
            faults.append(f"waiver {number} ({entries.get('rule', '?')}): {fault}")
        else:
            waivers.append(Waiver(**entries))
    return waivers, faults


def judge(outcomes: Sequence[Outcome], text: str, today: date) -> Judged:
    """Part the findings by the waivers of a file."""
    waivers, faults = parse(text, today)
    borne: list[tuple[Finding, Waiver]] = []
    unborne: list[Finding] = []
    for finding in (each for outcome in outcomes for each in outcome.findings):
        covering = next((waiver for waiver in waivers if waiver.covers(finding)), None)
        if covering:
            borne.append((finding, covering))
        else:
            unborne.append(finding)
    used = {waiver for _, waiver in borne}
    ran = {outcome.tool for outcome in outcomes if not outcome.skipped}
    faults += [
        f"{waiver.tool} {waiver.rule} {waiver.where} covers nothing any more; remove it"
        for waiver in waivers
        if waiver not in used and waiver.tool in ran
    ]
    return Judged(tuple(borne), tuple(unborne), tuple(faults))


def _fault(entries: dict[str, Any], today: date) -> str:
    if entries.keys() != _ENTRIES:
        return f"it has {sorted(entries)}, and not {sorted(_ENTRIES)}"
    expires = entries["expires"]
    if type(expires) is not date:
        return "expires is a date: 2030-01-31"
    if len(entries["reason"]) < _SHORTEST_REASON:
        return "its reason is too short to be one"
    if expires < today:
        return f"expired on {expires}; mend what it is about, or look at it anew"
    if expires > today + LONGEST:
        return f"its last day is more than {LONGEST.days} days ahead"
    return ""
