"""Signed statements: that a path is a release, and that a person approved it for an environment.

Both are JSON with an ssh signature (ssh-keygen -Y), so that keys and agents which people already
have serve, and nothing beyond OpenSSH is needed to check them. A host checks them itself: neither
the deployer nor its key can put a path into force that nobody signed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from app.errors import RefusedError
from app.release import argv
from app.release.messages import Signed

if TYPE_CHECKING:
    from app.release.shell import Shell

RELEASE = "windlass-release"
"""What a builder's key signs for."""
APPROVAL = "windlass-approval"
"""What an approver's key signs for."""
BUILDER = "builder"
_TIMEOUT_S = 30.0
_Statement = TypeVar("_Statement", bound=msgspec.Struct)


class ReleaseStatement(msgspec.Struct, forbid_unknown_fields=True):
    """That a store path is a release; its closure is fixed by the path."""

    release: str


class Approval(msgspec.Struct, forbid_unknown_fields=True):
    """That a person approved a release.

    Attributes:
        environment: for which.
        path: of the release.
        base: of what the environment ran when it was reviewed; empty: nothing.
        verified_by: environment whose hosts all had confirmed it, and each host of it.
        by: the approver's name in deploy.toml.
        at: wall clock, seconds since the epoch.
    """

    environment: str
    path: str
    base: str
    verified_by: str
    verified_on: list[str]
    by: str
    at: float


def sign(shell: Shell, statement: msgspec.Struct, key: Path, namespace: str) -> Signed:
    """Sign a statement by an ssh key, or the agent's key of that public file."""
    with tempfile.TemporaryDirectory(prefix="windlass-sign-") as folder:
        file = Path(folder, "statement")
        text = msgspec.json.encode(statement).decode()
        file.write_text(text)
        shell.run(argv.sign(file, key, namespace), timeout_s=_TIMEOUT_S)
        return Signed(text, Path(folder, "statement.sig").read_text())


def verified(
    shell: Shell, signed: Signed, kind: type[_Statement], signers: Path, namespace: str
) -> tuple[_Statement, str]:
    """A statement whose signature is right, and who signed it.

    Args:
        shell: runs ssh-keygen.
        signed: statement and signature.
        kind: what the statement should be.
        signers: file of those whose keys count, and for what.
        namespace: what it should be signed for.

    Raises:
        RefusedError: nobody of them signed it for this, or it is no such statement.
    """
    with tempfile.TemporaryDirectory(prefix="windlass-verify-") as folder:
        signature = Path(folder, "signature")
        signature.write_text(signed.signature)
        found = shell.attempt(argv.find_principals(signers, signature), timeout_s=_TIMEOUT_S)
        for who in found.output.split():
            done = shell.attempt(
                argv.verify(signers, who, namespace, signature),
                timeout_s=_TIMEOUT_S, given=signed.statement,
            )  # fmt: skip
            if done.code == 0:
                return _decoded(signed, kind), who
    raise RefusedError(
        "unsigned", f"no key that this host knows signed this for {namespace}; see: windlass setup"
    )


def signers_file(builders: tuple[str, ...], approvers: dict[str, str]) -> str:
    """The file of those whose signatures count, as ssh-keygen reads it."""
    lines = [f'{BUILDER} namespaces="{RELEASE}" {key}' for key in builders]
    lines += [f'{name} namespaces="{APPROVAL}" {key}' for name, key in approvers.items()]
    return "\n".join([*lines, ""])


def _decoded(signed: Signed, kind: type[_Statement]) -> _Statement:
    try:
        return msgspec.json.decode(signed.statement, type=kind)
    except msgspec.MsgspecError as error:
        raise RefusedError("unsigned", f"the signed statement is another: {error}") from error
