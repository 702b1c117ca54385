"""Nix is asked in an order in which it can answer, and a test that was skipped has not passed."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline import flake, servers
from tests.support import ROOT

if TYPE_CHECKING:
    from pathlib import Path

NIX = """#!/bin/sh
# Compares with what is in the store, as Nix does, and refuses where nothing is.
shift 2
printf '%s\\n' "$*" >> "{folder}/asked"
case " $* " in
*" --rebuild "*)
    for word in "$@"; do
        case $word in .#*) test -e "{folder}/built$word" || exit 1 ;; esac
    done ;;
*)
    for word in "$@"; do
        case $word in .#*) touch "{folder}/built$word" ;; esac
    done ;;
esac
"""


def pipeline(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "pipeline", *words), cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=100, env=os.environ | environ,
    )  # fmt: skip


@pytest.fixture
def nix(tmp_path: Path) -> Path:
    """A folder with a program `nix`, which writes down what it is asked."""
    program = tmp_path / "nix"
    program.write_text(NIX.format(folder=tmp_path))
    program.chmod(0o755)
    return tmp_path


def test_what_is_built_twice_is_built_once_before(nix: Path) -> None:
    done = pipeline("flake", "rebuild", PATH=f"{nix}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    first, second = (nix / "asked").read_text().splitlines()
    assert ("--rebuild" in first, "--rebuild" in second) == (False, True)
    for name in flake.REPRODUCIBLE:
        assert f".#{name}" in first.split()
        assert f".#{name}" in second.split()


def test_build_that_differs_is_red(nix: Path) -> None:
    program = nix / "nix"
    program.write_text(program.read_text().replace("test -e", "false"))
    assert pipeline("flake", "rebuild", PATH=f"{nix}:{os.environ['PATH']}").returncode == 1


def test_machine_without_nix_is_told_so(tmp_path: Path) -> None:
    done = pipeline("flake", "rebuild", PATH=str(tmp_path))
    assert (done.returncode, "nix is not on PATH" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("def test_it():\n    pass\n", ""),
        ("def test_it():\n    assert False\n", "pytest ended with exit code 1"),
        ("", "0 did and 0 were skipped"),
        ("import pytest\npytest.skip('x', allow_module_level=True)\n", "1 were skipped"),
        (
            "import pytest\n@pytest.mark.skip\ndef test_a():\n    pass\ndef test_b():\n    pass\n",
            "1 did and 1 were skipped",
        ),
    ],
)
def test_run_of_tests_is_green_only_where_each_of_them_ran(
    test: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(test)
    code = f"from pipeline.strict_tests import run_all\nrun_all([{str(file)!r}])\n"
    done = subprocess.run(
        (sys.executable, "-c", code), cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=100,
    )  # fmt: skip
    assert (done.returncode == 0) is (not said), done.stderr
    assert said in done.stderr


def test_tests_that_must_run_are_there() -> None:
    for name in (*servers.TESTS, *flake.TESTS):
        assert (ROOT / name).is_file()
