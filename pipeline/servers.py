"""The command `./run servers`: deployment and rollback on real servers, made of namespaces.

The tests are those that skip where a machine lacks what they need; here that is a failure.
"""

from __future__ import annotations

import os
import subprocess
import sys

import click

from pipeline.jobs import ROOT, PipelineError
from pipeline.strict_tests import run_all

TESTS = ("tests/integration/test_release_site.py", "tests/integration/test_release_rules.py")
_PACKAGES = ("iproute2", "nix-bin", "openssh-client", "openssh-server")
_INSTALL_TIMEOUT_S = 900


@click.command("servers")
@click.option("--install", is_flag=True, help="Install what they need by apt, and end.")
def command(*, install: bool) -> None:
    """Deploy, fail and roll back on servers with a root, a Nix store and an sshd of their own.

    Needs root, or sudo that asks nothing.
    """
    if os.geteuid() != 0:
        sys.exit(_as_root(install=install))
    if install:
        for words in (("update",), ("install", "--yes", "--no-install-recommends", *_PACKAGES)):
            argv = ("apt-get", "--quiet", *words)
            done = subprocess.run(argv, check=False, timeout=_INSTALL_TIMEOUT_S)
            if done.returncode:
                raise PipelineError(f"apt-get {words[0]} ended with exit code {done.returncode}")
        return
    run_all(TESTS)


def _as_root(*, install: bool) -> int:
    """The same by root, with this interpreter; returns its exit code."""
    argv = ("sudo", "--non-interactive", "env", f"PATH={os.environ['PATH']}", sys.executable,
            "-m", "pipeline", "servers", *(("--install",) if install else ()))  # fmt: skip
    try:
        return subprocess.run(argv, cwd=ROOT, check=False).returncode
    except FileNotFoundError as error:
        raise PipelineError("only root makes servers, and there is no sudo here") from error
