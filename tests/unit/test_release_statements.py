"""Signed statements, with ssh's own tool: who signed what, and for what it counts."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from app.errors import RefusedError
from app.release import statements
from app.release.messages import Signed
from app.release.shell import Shell
from app.release.statements import APPROVAL, BUILDER, RELEASE, Approval, ReleaseStatement

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen here")
PATH = "/nix/store/x-windlass"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("builder", "alice", "mallory"):
        subprocess.run(
            ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", folder / name),  # noqa: S607
            check=True, timeout=30,
        )  # fmt: skip
    builder, alice = ((folder / f"{name}.pub").read_text().strip() for name in ("builder", "alice"))
    (folder / "signers").write_text(statements.signers_file((builder,), {"alice": alice}))
    return folder


@pytest.fixture
def shell() -> Shell:
    return Shell({"PATH": os.environ["PATH"]})


def test_a_builders_signature_says_that_a_path_is_a_release(keys: Path, shell: Shell) -> None:
    signed = statements.sign(shell, ReleaseStatement(PATH), keys / "builder", RELEASE)
    found = statements.verified(shell, signed, ReleaseStatement, keys / "signers", RELEASE)
    assert found == (ReleaseStatement(PATH), BUILDER)


def test_an_approval_is_of_whom_its_key_is(keys: Path, shell: Shell) -> None:
    approval = Approval("production", PATH, "", "staging", ["one"], "alice", 1.0)
    signed = statements.sign(shell, approval, keys / "alice", APPROVAL)
    found = statements.verified(shell, signed, Approval, keys / "signers", APPROVAL)
    assert found == (approval, "alice")


@pytest.mark.parametrize(
    ("key", "made_for", "asked_for"),
    [
        ("mallory", RELEASE, RELEASE),  # nobody knows this key
        ("alice", RELEASE, RELEASE),  # who approves does not build
        ("builder", APPROVAL, APPROVAL),  # who builds does not approve
        ("builder", APPROVAL, RELEASE),  # what was signed for one thing is not for another
    ],
)
def test_a_signature_of_another_key_or_for_something_else_counts_nothing(
    keys: Path, shell: Shell, key: str, made_for: str, asked_for: str
) -> None:
    signed = statements.sign(shell, ReleaseStatement(PATH), keys / key, made_for)
    with pytest.raises(RefusedError, match="no key that this host knows"):
        statements.verified(shell, signed, ReleaseStatement, keys / "signers", asked_for)


def test_a_statement_that_was_changed_counts_nothing(keys: Path, shell: Shell) -> None:
    signed = statements.sign(shell, ReleaseStatement(PATH), keys / "builder", RELEASE)
    changed = Signed(signed.statement.replace("x-", "y-"), signed.signature)
    for wrong in (changed, Signed(signed.statement, ""), Signed("", signed.signature)):
        with pytest.raises(RefusedError, match="no key that this host knows"):
            statements.verified(shell, wrong, ReleaseStatement, keys / "signers", RELEASE)


def test_a_statement_of_another_kind_is_refused(keys: Path, shell: Shell) -> None:
    approval = Approval("production", PATH, "", "staging", [], "alice", 1.0)
    signed = statements.sign(shell, approval, keys / "builder", RELEASE)
    with pytest.raises(RefusedError, match="the signed statement is another"):
        statements.verified(shell, signed, ReleaseStatement, keys / "signers", RELEASE)
