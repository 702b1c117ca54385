"""One function for each tool: runs it and returns its findings in the form that all share.

A tool that cannot be run is skipped with its reason. One that ran and could not look at what it was
given has not passed: it is skipped, too, which `--strict` makes a failure.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline.jobs import PipelineError
from pipeline.security import osv
from pipeline.security.findings import Finding, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_TIMEOUT_S = 600
_AUDIT_TIMEOUT_S = 900
_CODE = ("app", "nix", "pipeline")
_LOCKS = ("requirements.txt", "requirements-otel.txt", "requirements-dev.txt",
          "requirements-binaries.txt", "requirements-security.txt")  # fmt: skip
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_HASHES_ONLY = re.compile(r"(^|/)(requirements[^/]*\.txt|flake\.lock)$")
_ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"


@dataclass(frozen=True, slots=True)
class Bench:
    """What the tools work on.

    Attributes:
        root: of the checkout.
        programs: folder of `.venv-security`'s programs.
        python: that has the development environment.
        output: folder for what is written.
        environ: of the tools.
    """

    root: Path
    programs: Path
    python: str
    output: Path
    environ: Mapping[str, str]

    def run(self, *argv: str, timeout_s: float = _TIMEOUT_S) -> subprocess.CompletedProcess[str]:
        """Run a tool to its end in the checkout."""
        return subprocess.run(
            argv, cwd=self.root, env=dict(self.environ), capture_output=True, text=True,
            check=False, timeout=timeout_s,
        )  # fmt: skip

    def found(self, program: str) -> str | None:
        """A program of PATH."""
        return shutil.which(program, path=self.environ.get("PATH", os.defpath))


def rules(bench: Bench) -> Outcome:
    """Ruff's rules about security."""
    done = bench.run(
        bench.python, "-m", "ruff", "check", "--output-format", "json", "--exit-zero"
    )  # fmt: skip
    found = [
        Finding("rules", one["code"], _below(bench, one["filename"]), one["location"]["row"],
                one["message"])
        for one in _decoded("ruff", done)
        if (one["code"] or "").startswith("S") and one["code"][1:].isdigit()
    ]  # fmt: skip
    return Outcome("rules", "ruff's rules S, with the project's exceptions", tuple(found))


def bandit(bench: Bench) -> Outcome:
    """Bandit, from medium severity up: below it are the subprocesses that are our trade."""
    done = bench.run(
        str(bench.programs / "bandit"), "--quiet", "--recursive", *_CODE, "--format", "json",
        "--severity-level", "medium", "--exit-zero",
    )  # fmt: skip
    found = [
        Finding("bandit", one["test_id"], one["filename"], one["line_number"],
                _line(one["issue_text"]))
        for one in _decoded("bandit", done)["results"]
    ]  # fmt: skip
    return Outcome("bandit", f"bandit on {', '.join(_CODE)}", tuple(found))


def workflows(bench: Bench) -> Outcome:
    """Zizmor in its strictest persona, without the network."""
    done = bench.run(
        str(bench.programs / "zizmor"), "--quiet", "--offline", "--persona", "auditor",
        "--no-exit-codes", "--format", "json", ".github",
    )  # fmt: skip
    found = []
    for one in _decoded("zizmor", done):
        primary = [x for x in one["locations"] if x["symbolic"]["kind"] == "Primary"]
        place = (primary or one["locations"])[0]
        file = place["symbolic"]["key"]["Local"]["verbatim_path"]
        row = place["concrete"]["location"]["start_point"]["row"] + 1
        found.append(Finding("zizmor", one["ident"], file, row, _line(one["desc"])))
    return Outcome("zizmor", "the workflows, by zizmor's persona auditor", tuple(found))


def actionlint(bench: Bench) -> Outcome:
    """Syntax and types of the workflows; with shellcheck on PATH their commands, too."""
    about = "the workflows, by actionlint"
    program = bench.found("actionlint") or _installed_actionlint(bench)
    if program is None:
        return Outcome(
            "actionlint", about,
            skipped="neither actionlint nor a Go that can fetch it is here; nixpkgs has it",
        )  # fmt: skip
    files = sorted(str(x.relative_to(bench.root)) for x in _workflow_files(bench.root))
    done = bench.run(program, "-format", "{{json .}}", *files)
    found = [
        Finding("actionlint", one["kind"], one["filepath"], one["line"], _line(one["message"]))
        for one in _decoded("actionlint", done) or []
    ]
    return Outcome("actionlint", about, tuple(found))


def secrets(bench: Bench) -> Outcome:
    """What looks like a key, a token or a password in any file that git has."""
    about = "secrets in tracked files, by detect-secrets"
    listed = bench.run("git", "-c", f"safe.directory={bench.root}", "ls-files", "-z")
    if listed.returncode:
        return Outcome("secrets", about, skipped="this is no git checkout")
    names = [name for name in listed.stdout.split("\0") if name]
    names = [x for x in names if not _HASHES_ONLY.search(x) and (bench.root / x).is_file()]
    done = bench.run(
        str(bench.programs / "detect-secrets"), "scan", "--all-files", "--no-verify", *names
    )
    results = _decoded("detect-secrets", done)["results"]
    found = [
        Finding("secrets", one["type"], file, one["line_number"], "looks like a secret")
        for file, ones in results.items()
        for one in ones
    ]
    return Outcome("secrets", about, tuple(found))


def audit(bench: Bench) -> Outcome:
    """Known vulnerabilities of every locked package, asked of the package index."""
    about = "known vulnerabilities of locked packages, by the package index (pip-audit)"
    return _by_service(bench, "pip-audit", about, "pypi")


def osv_audit(bench: Bench) -> Outcome:
    """The same by OSV, which knows more: from a copy of its data, or else from its service."""
    about = "known vulnerabilities of locked packages, by OSV"
    given = bench.environ.get("OSV_DATA")
    if not given:
        asked = _by_service(bench, "osv", about, "osv")
        hint = "without a network, OSV_DATA names a copy (PyPI's all.zip, or a folder)"
        return replace(asked, skipped=f"{asked.skipped}; {hint}") if asked.skipped else asked
    found = [
        Finding("osv", record.id, f"{name}=={version}", 0, record.summary or record.id)
        for file in _LOCKS
        for name, version, record in osv.affecting(Path(given), locked(bench.root / file))
    ]
    return Outcome("osv", about, tuple(dict.fromkeys(found)))


def locked(file: Path) -> dict[str, str]:
    """The version of each package that a lock pins."""
    return dict(_PINNED.findall(file.read_text(encoding="utf-8")))


class _UnansweredError(Exception):
    """A service says nothing of what it was asked; the message says why."""


def _by_service(bench: Bench, tool: str, about: str, service: str) -> Outcome:
    """What a service of pip-audit says of every locked package."""
    pins = sorted({pin for name in _LOCKS for pin in locked(bench.root / name).items()})
    try:
        # One alone comes before all: without a network, each takes long to be given up.
        _audited(bench, pins[:1], service)
        answer = _audited(bench, pins, service)
    except _UnansweredError as error:
        return Outcome(tool, about, skipped=str(error))
    found = [
        Finding(tool, vulnerability["id"], f"{one['name']}=={one['version']}", 0,
                f"mended in {', '.join(vulnerability['fix_versions']) or 'no version'}")
        for one in answer
        for vulnerability in one["vulns"]
    ]  # fmt: skip
    return Outcome(tool, about, tuple(found))


def _audited(bench: Bench, pins: Sequence[tuple[str, str]], service: str) -> list[dict[str, Any]]:
    """What pip-audit says of some packages.

    Raises:
        _UnansweredError: nothing, or nothing of one of them.
    """
    with tempfile.TemporaryDirectory(prefix="windlass-audit-") as folder:
        file = Path(folder, "requirements.txt")
        file.write_text("".join(f"{name}=={version}\n" for name, version in pins))
        try:
            done = bench.run(
                str(bench.programs / "pip-audit"), "--requirement", str(file), "--no-deps",
                "--disable-pip", "--format", "json", "--progress-spinner", "off",
                "--vulnerability-service", service, timeout_s=_AUDIT_TIMEOUT_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise _UnansweredError(f"no answer within {_AUDIT_TIMEOUT_S} s") from error
    try:
        found: list[dict[str, Any]] = msgspec.json.decode(done.stdout)["dependencies"]
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise _UnansweredError(f"pip-audit: {_last(done)}") from error
    unknown = [one["skip_reason"] for one in found if "skip_reason" in one]
    if unknown or not found:
        raise _UnansweredError(unknown[0] if unknown else "pip-audit answered nothing")
    return found


def _installed_actionlint(bench: Bench) -> str | None:
    """Actionlint by Go, whose checksum database says that it is the release that all others got."""
    go = bench.found("go")
    if go is None:
        return None
    try:
        done = subprocess.run(
            (go, "install", _ACTIONLINT), capture_output=True, check=False, timeout=_TIMEOUT_S,
            env={**bench.environ, "GOBIN": str(bench.programs.absolute())},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    return str(bench.programs / "actionlint") if done.returncode == 0 else None


def _workflow_files(root: Path) -> list[Path]:
    return list((root / ".github" / "workflows").glob("*.yml"))


def _decoded(program: str, done: subprocess.CompletedProcess[str]) -> Any:  # noqa: ANN401
    try:
        return msgspec.json.decode(done.stdout)
    except msgspec.DecodeError as error:
        raise PipelineError(f"{program} gave no answer: {_last(done)}") from error


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"


def _below(bench: Bench, file: str) -> str:
    return str(Path(file).relative_to(bench.root))


def _line(text: str) -> str:
    return " ".join(text.split())


SCANS: tuple[Callable[[Bench], Outcome], ...] = (
    rules, bandit, secrets, workflows, actionlint, audit, osv_audit
)  # fmt: skip
