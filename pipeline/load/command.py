"""The command `./run load`."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

import click
import httpx

from pipeline.jobs import ROOT, PipelineError
from pipeline.load import judging, profile, sending

MISSED, INVALID = 1, 3


@click.command(
    "load",
    epilog="Exit codes: 0 every level was kept; 1 one was missed; 2 wrong usage; 3 the client "
    "itself was too slow to tell, and nothing is shown.",
)
@click.argument("url")
@click.option(
    "--profile", "name", default="staging", show_default=True, help="Of the levels' file."
)
@click.option(
    "--levels", "file", default=profile.FILE, help="TOML of profiles and service levels.",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)  # fmt: skip
@click.option(
    "--output", default=ROOT / ".state" / "load", help="Folder of report.md and report.json.",
    type=click.Path(file_okay=False, path_type=Path),
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), help="Decides the order of requests.")
def command(url: str, name: str, file: Path, output: Path, seed: int | None) -> None:
    """Load the service at URL at a fixed rate, and see whether it keeps its service levels.

    Every request is sent when its time has come, whatever the service does, and its latency counts
    from then.
    """
    wanted = profile.read(name, file)
    url = url.rstrip("/")
    _require_answer(url)
    click.echo(
        f"load: {wanted.rate_hz:g} requests/s for {wanted.warmup_s + wanted.seconds:g} s to {url}",
        err=True,
    )
    draw = random.Random(seed)
    verdict = judging.judge(asyncio.run(sending.send(url, wanted, draw)), wanted.levels)
    text = judging.markdown(verdict, url, name, wanted.levels)
    output.mkdir(parents=True, exist_ok=True)
    (output / "report.md").write_text(text, encoding="utf-8")
    (output / "report.json").write_bytes(judging.json(verdict, url, name, wanted.levels))
    click.echo(text)
    _summarise(text)
    sys.exit({"KEPT": 0, "MISSED": MISSED, "INVALID": INVALID}[verdict.word])


def _require_answer(url: str) -> None:
    """Say at once what would else be said by thousands of failed requests.

    Raises:
        PipelineError: nothing answers there.
    """
    try:
        httpx.get(f"{url}/health", timeout=10, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PipelineError(f"{url} does not answer: {error}; is it the right URL?") from error


def _summarise(text: str) -> None:
    file = os.environ.get("GITHUB_STEP_SUMMARY")
    if file:
        with Path(file).open("a", encoding="utf-8") as summary:
            summary.write(text)
