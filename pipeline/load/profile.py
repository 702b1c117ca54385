"""`levels.toml`: what is asked, how often, and what must come back."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pipeline.jobs import ROOT, PipelineError

FILE = Path(__file__).with_name("levels.toml")
FEWEST = 500
"""Requests below which a 99th percentile, or an availability of 99.9 %, would say nothing."""


class Levels(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a service must keep.

    Attributes:
        availability: least share of requests with the expected answer in time.
        p99_ms: largest 99th percentile of latency.
    """

    availability: float
    p99_ms: float


class Request(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One kind of request; a POST where it has a body.

    Attributes:
        path: with its query.
        share: of all requests, in any unit.
        headers: beside what the client sends by itself.
        body: sent as JSON.
        body_file: file below the root that is sent as JSON.
        status: that is expected.
        contains: text that is expected in the answer.
    """

    path: str
    share: float
    headers: dict[str, str] = {}
    body: dict[str, object] | None = None
    body_file: str = ""
    status: int = 200
    contains: str = ""

    def content(self) -> bytes | None:
        """The bytes of the body; None for a GET.

        Raises:
            PipelineError: its file cannot be read.
        """
        if self.body_file:
            try:
                return (ROOT / self.body_file).read_bytes()
            except OSError as error:
                raise PipelineError(f"{self.path}: its body cannot be read: {error}") from error
        return None if self.body is None else msgspec.json.encode(self.body)


class Profile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How a service is loaded, and its levels; see `levels.toml`."""

    rate_hz: float
    seconds: float
    levels: Levels
    requests: list[Request]
    warmup_s: float = 0.0
    timeout_s: float = 5.0


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    profiles: dict[str, Profile]


def read(name: str, file: Path = FILE) -> Profile:
    """The profile of a name.

    Raises:
        PipelineError: the file is wrong, or has no such profile, or one that could show nothing.
    """
    try:
        document = msgspec.toml.decode(file.read_bytes(), type=_Document)
    except (OSError, msgspec.MsgspecError) as error:
        raise PipelineError(f"{file}: {error}") from error
    if name not in document.profiles:
        raise PipelineError(f"{file} has no profile {name}; it has {', '.join(document.profiles)}")
    profile = document.profiles[name]
    faults = _faults(profile)
    if faults:
        raise PipelineError(f"{file}: profile {name}: {'; '.join(faults)}")
    return profile


def _faults(profile: Profile) -> list[str]:
    faults = []
    if profile.rate_hz * profile.seconds < FEWEST:
        faults.append(f"fewer than {FEWEST} requests show nothing")
    if not 0 < profile.levels.availability <= 1 or profile.levels.p99_ms <= 0:
        faults.append("availability is a share up to 1, p99_ms is above 0")
    if not profile.requests or any(each.share <= 0 for each in profile.requests):
        faults.append("it has requests, each with a share above 0")
    if not 0 < profile.timeout_s <= 60 or profile.warmup_s < 0:
        faults.append("timeout_s is up to 60, warmup_s is not below 0")
    return faults
