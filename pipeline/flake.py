"""The commands `./run flake check` and `./run flake rebuild`: what the flake promises.

Nix itself says whether it is so; here is only in which steps it is asked.
"""

from __future__ import annotations

import subprocess
import sys

import click

from nix.update import nix_command
from pipeline.jobs import ROOT, PipelineError
from pipeline.strict_tests import run_all

REPRODUCIBLE = ("release", "app", "runtime", "image")
TESTS = ("tests/integration/test_nix.py",)
_TIMEOUT_S = 3 * 3600


@click.group("flake")
def command() -> None:
    """Ask Nix about the flake of this checkout."""


@command.command("check")
def check_command() -> None:
    """Evaluate it for every system, test what it makes of a commit, then build its checks."""
    _nix("flake", "check", "--all-systems", "--no-build")
    run_all(TESTS)
    _nix("flake", "check", "--print-build-logs")


@command.command("rebuild")
def rebuild_command() -> None:
    """Build what is released, then build it a second time: the same to the bit?"""
    outputs = [f".#{name}" for name in REPRODUCIBLE]
    # Nix compares with what is in the store, and refuses where nothing is.
    _nix("build", "--no-link", "--print-build-logs", *outputs)
    _nix("build", "--no-link", "--print-build-logs", "--rebuild", *outputs)
    click.echo(f"the same twice: {', '.join(REPRODUCIBLE)}")


def _nix(*words: str) -> None:
    command = nix_command()
    if command is None:
        raise PipelineError("nix is not on PATH, and WINDLASS_NIX names no command that runs it")
    click.echo(f"flake: nix {' '.join(words)}", err=True)
    done = subprocess.run((*command, *words), cwd=ROOT, check=False, timeout=_TIMEOUT_S)
    if done.returncode:
        sys.exit(1)
