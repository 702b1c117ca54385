"""The keys that deploy.toml names, written from a job's secrets for as long as the job lasts."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from pipeline.jobs import PipelineError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from app.release.inventory import Environment

VARIABLES = {
    "deploy_key": "DEPLOY_KEY", "signing_key": "BUILDER_KEY", "store_key": "STORE_KEY"
}  # fmt: skip
"""The entry of deploy.toml, and the secret with the key."""
REQUIRED = "REQUIRED_DEPLOY_KEY"
"""The secret with the deploy key of the environment that another requires, where it is another."""


def write(environment: Environment, root: Path, secrets: Mapping[str, str]) -> list[Path]:
    """Write each key of an environment where deploy.toml says that it is; returns the files.

    Raises:
        PipelineError: a secret is missing, or a key's place is outside of the checkout.
    """
    written = []
    for entry, variable in VARIABLES.items():
        name = getattr(environment, entry)
        if not name:
            continue
        file = _place(root, name)
        key = secrets.get(variable, "")
        if not key and entry == "store_key":
            raise PipelineError(
                f"{environment.name} has a store_key: leave it out of deploy.toml, since the build "
                f"has signed every store path, or set {variable}"
            )
        if not key:
            raise PipelineError(
                f"the secret {variable} is not set for {environment.name}; docs/pipeline.md says "
                "where secrets belong"
            )
        secret_file(file, key)
        written.append(file)
        if entry == "deploy_key":
            _add_public_half(file)
    return written


def write_required(
    environment: Environment, required: Environment, root: Path, secrets: Mapping[str, str]
) -> list[Path]:
    """Write the deploy key by which the environment that must have verified a release is asked.

    Raises:
        PipelineError: the secret is missing, and the key is not that of the environment itself.
    """
    if required.deploy_key == environment.deploy_key:
        return []
    if not secrets.get(REQUIRED):
        raise PipelineError(
            f"{environment.name} asks {required.name}, whose deploy key is another: set {REQUIRED}"
        )
    file = _place(root, required.deploy_key)
    secret_file(file, secrets[REQUIRED])
    return [file]


def secret_file(file: Path, text: str) -> None:
    """Write a file that nobody else could ever read."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file.unlink(missing_ok=True)
    file.touch(mode=0o600, exist_ok=False)
    file.write_text(text.rstrip("\n") + "\n", encoding="ascii")


def forget(environment: Environment, root: Path) -> list[Path]:
    """Remove the keys again; returns those that were there."""
    removed = []
    for entry in VARIABLES:
        name = getattr(environment, entry)
        for file in (_place(root, name), _place(root, f"{name}.pub")) if name else ():
            if file.exists():
                file.unlink()
                removed.append(file)
    return removed


def _place(root: Path, name: str) -> Path:
    file = (root / name).resolve()
    if not file.is_relative_to(root.resolve()):
        raise PipelineError(f"{name} is not below {root}; in the pipeline keys are beside it")
    return file


def _add_public_half(file: Path) -> None:
    done = subprocess.run(
        ("ssh-keygen", "-y", "-f", str(file)), capture_output=True, text=True, check=False,
        timeout=30,
    )  # fmt: skip
    if done.returncode:
        raise PipelineError(f"{file} is no private key: {done.stderr.strip()}")
    file.with_name(f"{file.name}.pub").write_text(done.stdout, encoding="ascii")
