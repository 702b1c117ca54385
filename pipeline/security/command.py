"""The command `./run security`."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from pipeline.jobs import ROOT
from pipeline.security import bill, environment, scans, waivers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.security.findings import Outcome
    from pipeline.security.waivers import Judged

_NAMES = ("rules", "bandit", "secrets", "zizmor", "actionlint", "pip-audit", "osv",
          "sbom-python", "sbom-closure")  # fmt: skip
_SCANS = dict(zip(_NAMES, (*scans.SCANS, bill.of_python, bill.of_closure), strict=True))


@click.command(
    "security",
    epilog="Exit codes: 0 nothing that is not borne; 1 something, or a faulty waiver, or with "
    "--strict something skipped; 2 wrong usage.",
)
@click.option("--only", multiple=True, type=click.Choice(_NAMES), help="This one.  [default: all]")
@click.option("--strict", is_flag=True, help="What cannot be run here has failed.")
@click.option(
    "--output", default=ROOT / ".state" / "security",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of report.json and the bills of materials.  [default: .state/security]",
)  # fmt: skip
def command(*, only: tuple[str, ...], strict: bool, output: Path) -> None:
    """Look for what tools can find: risky code, secrets, vulnerabilities, workflows, waivers.

    Works without a network as far as it can, and says what it skipped and why. What is borne
    stands in pipeline/security/waivers.toml, with its reason and its last day.
    """
    output.mkdir(parents=True, exist_ok=True)
    bench = scans.Bench(
        ROOT, environment.provide(_say), sys.executable, output.absolute(), os.environ
    )
    outcomes = []
    for name in only or _NAMES:
        _say(name)
        outcomes.append(_SCANS[name](bench))
    text = waivers.FILE.read_text(encoding="utf-8")
    judged = waivers.judge(outcomes, text, datetime.now(UTC).date())
    _show(outcomes, judged)
    report = {"outcomes": [asdict(each) for each in outcomes], "judged": asdict(judged)}
    (output / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    sys.exit(0 if _is_green(outcomes, judged, strict=strict) else 1)


def _is_green(outcomes: Sequence[Outcome], judged: Judged, *, strict: bool) -> bool:
    skipped = any(each.skipped for each in outcomes)
    return not (judged.open or judged.faults or (strict and skipped))


def _show(outcomes: Sequence[Outcome], judged: Judged) -> None:
    unborne = {finding.tool for finding in judged.open}
    for each in outcomes:
        if each.skipped:
            click.echo(f"skipped  {each.about}: {each.skipped}")
            continue
        borne = sum(finding.tool == each.tool for finding, _ in judged.borne)
        mark = "FOUND" if each.tool in unborne else "ok"
        note = f" ({borne} borne)" if borne else ""
        made = f": {', '.join(each.made)}" if each.made else ""
        click.echo(f"{mark:9}{each.about}{note}{made}")
    for finding in judged.open:
        click.echo(f"  {finding}")
    for fault in judged.faults:
        click.echo(f"FAULTY   waivers.toml: {fault}")


def _say(text: str) -> None:
    click.echo(f"security: {text}", err=True)
