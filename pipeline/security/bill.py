"""Software bills of materials (CycloneDX 1.6): of the Python environment, of a release's closure.

The first is of the locked requirements, with the hashes that pip insists on. The second is of every
store path that a release needs, which for a release by Nix is all that there is.
"""

from __future__ import annotations

import re
import subprocess
import uuid
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline.jobs import PipelineError
from pipeline.security.findings import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pipeline.security.scans import Bench

_NIX_TIMEOUT_S = 3600
_NIX = ("nix", "--extra-experimental-features", "nix-command flakes")
_NAMED = re.compile(r"(?P<name>.+?)-(?P<version>\d[^-]*(?:-[^-]*)*)$")
_SPEC = "1.6"


def of_python(bench: Bench) -> Outcome:
    """The locked requirements of what runs."""
    about = "bill of materials of the Python environment (CycloneDX)"
    file = bench.output / "sbom-python.cdx.json"
    done = bench.run(
        str(bench.programs / "cyclonedx-py"), "requirements", "requirements.txt",
        "--pyproject", "pyproject.toml", "--mc-type", "application", "--spec-version", _SPEC,
        "--output-reproducible", "--output-format", "JSON", "--output-file", str(file),
    )  # fmt: skip
    if done.returncode:
        raise PipelineError(f"cyclonedx-py: {done.stderr.strip() or done.returncode}")
    return Outcome("sbom-python", about, made=(str(file),))


def of_closure(bench: Bench) -> Outcome:
    """Every store path of the release, where there is Nix to build or name it."""
    about = "bill of materials of the release's closure (CycloneDX)"
    if bench.found("nix") is None:
        return Outcome("sbom-closure", about, skipped="nix is not on PATH")
    release = bench.environ.get("RELEASE") or _built(bench)
    if not release:
        return Outcome(
            "sbom-closure", about,
            skipped="Nix cannot build the release here; RELEASE may name one in the store",
        )  # fmt: skip
    done = bench.run(*_NIX, "path-info", "--json", "--recursive", release, timeout_s=_NIX_TIMEOUT_S)
    if done.returncode:
        raise PipelineError(f"nix path-info {release}: {done.stderr.strip()}")
    file = bench.output / "sbom-closure.cdx.json"
    file.write_bytes(closure(paths_of(msgspec.json.decode(done.stdout)), release))
    return Outcome("sbom-closure", about, made=(str(file),))


def paths_of(found: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401 - two forms of JSON
    """What `nix path-info --json` says of each path; older ones answer a list."""
    if isinstance(found, list):
        return {one["path"]: one for one in found}
    return dict(found)


def closure(paths: Mapping[str, Mapping[str, Any]], release: str) -> bytes:
    """The bill of a closure, the same bytes for the same closure.

    Args:
        paths: of the store, with `narHash`, `narSize` and `references`.
        release: the path that all others are there for.
    """
    if release not in paths:
        raise PipelineError(f"{release} is not in its own closure")
    others = sorted(paths.keys() - {release})
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": _SPEC,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, release)}",
        "version": 1,
        "metadata": {"component": _component(release, paths[release], "application")},
        "components": [_component(path, paths[path], "library") for path in others],
        "dependencies": [
            {"ref": path, "dependsOn": _references(path, paths[path].get("references", ()))}
            for path in [release, *others]
        ],
    }
    return msgspec.json.format(msgspec.json.encode(bill), indent=1) + b"\n"


def _component(path: str, about: Mapping[str, Any], kind: str) -> dict[str, Any]:
    name, version = named(path)
    return {
        "type": kind,
        "bom-ref": path,
        "name": name,
        **({"version": version} if version else {}),
        "purl": f"pkg:nix/{name}{f'@{version}' if version else ''}",
        "properties": [
            {"name": "nix:path", "value": path},
            {"name": "nix:narHash", "value": str(about.get("narHash", ""))},
            {"name": "nix:narSize", "value": str(about.get("narSize", ""))},
        ],
    }


def named(path: str) -> tuple[str, str]:
    """Name and version of a store path; without a version where its name has none."""
    whole = PurePosixPath(path).name.partition("-")[2]
    match = _NAMED.fullmatch(whole)
    return (match["name"], match["version"]) if match else (whole, "")


def _references(path: str, references: Iterable[str]) -> list[str]:
    return sorted(set(references) - {path})


def _built(bench: Bench) -> str:
    # Two attempts, not five: a machine without a network is found out at once.
    command = (*_NIX, "--option", "download-attempts", "2", "--option", "connect-timeout", "10",
               "build", "--no-link", "--print-out-paths", ".#release")  # fmt: skip
    try:
        done = bench.run(*command, timeout_s=_NIX_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def files(output: Path) -> list[Path]:
    """The bills that were written."""
    return sorted(output.glob("sbom-*.cdx.json"))
