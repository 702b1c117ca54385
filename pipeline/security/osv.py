"""Known vulnerabilities by a copy of OSV's data (osv.dev): for machines without a network.

The copy is what OSV publishes for the ecosystem PyPI: an archive, or a folder, of one JSON file for
each record. The form is OSV's schema 1.x; what is withdrawn does not count.
"""

from __future__ import annotations

import re
import zipfile
from typing import TYPE_CHECKING

import msgspec
from packaging.version import InvalidVersion, Version

from pipeline.jobs import PipelineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


class Range(msgspec.Struct):
    """Events in the order of versions: introduced, fixed, last_affected."""

    type: str
    events: list[dict[str, str]] = []


class Package(msgspec.Struct):
    """Whose vulnerability."""

    name: str
    ecosystem: str


class Affected(msgspec.Struct):
    """Which versions of a package."""

    package: Package | None = None
    versions: list[str] = []
    ranges: list[Range] = []


class Record(msgspec.Struct):
    """One vulnerability."""

    id: str
    summary: str = ""
    withdrawn: str = ""
    affected: list[Affected] = []


def affecting(data: Path, pins: Mapping[str, str]) -> Iterator[tuple[str, str, Record]]:
    """Each package and version of a lock that a record is about, with the record.

    Raises:
        PipelineError: the copy cannot be read, or has no record.
    """
    wanted = {_normal(name): (name, version) for name, version in pins.items()}
    count = 0
    for text in _texts(data):
        try:
            record = msgspec.json.decode(text, type=Record)
        except msgspec.MsgspecError as error:
            raise PipelineError(f"{data} has a record that is none of OSV: {error}") from error
        count += 1
        for affected in () if record.withdrawn else record.affected:
            package = affected.package
            if package and package.ecosystem == "PyPI" and _normal(package.name) in wanted:
                name, version = wanted[_normal(package.name)]
                if is_affected(version, affected):
                    yield name, version, record
    if not count:
        raise PipelineError(f"{data} has no record of OSV")


def is_affected(version: str, affected: Affected) -> bool:
    """Whether a version is among those that a record names, or within one of its ranges."""
    if version in affected.versions:
        return True
    return any(
        _is_within(Version(version), each.events)
        for each in affected.ranges
        if each.type in {"ECOSYSTEM", "SEMVER"}
    )


def _is_within(version: Version, events: list[dict[str, str]]) -> bool:
    inside = False
    for event in events:
        try:
            if "introduced" in event:
                if event["introduced"] == "0" or version >= Version(event["introduced"]):
                    inside = True
            elif "fixed" in event:
                if version >= Version(event["fixed"]):
                    inside = False
            elif "last_affected" in event and version > Version(event["last_affected"]):
                inside = False
        except InvalidVersion:
            continue
    return inside


def _texts(data: Path) -> Iterator[bytes]:
    try:
        if data.is_dir():
            for file in sorted(data.glob("*.json")):
                yield file.read_bytes()
        else:
            with zipfile.ZipFile(data) as archive:
                for name in archive.namelist():
                    if name.endswith(".json"):
                        yield archive.read(name)
    except (OSError, zipfile.BadZipFile) as error:
        raise PipelineError(f"OSV's data cannot be read: {data}: {error}") from error


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
