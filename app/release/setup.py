"""`windlass setup`: prepares a bare Linux server, by its root, as often as one likes.

What is on the server afterwards is laid down there by `app.release.host.install`, run from the
release that is copied first. So a server needs nothing but Nix and sshd.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from app.errors import CommandError, ReleaseError, UnreachableError
from app.release import argv, statements
from app.release.host.install import HOW_TO_GET_NIX, Installation
from app.release.host.site import SiteConfig
from app.release.shell import last_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.release.operator import Operator
    from app.release.remote import Remote

_TIMEOUT_S = 600.0
BASE = "/var/lib/windlass"


class StepDone(msgspec.Struct):
    """One step on a server: what is so now, and whether that was changed."""

    what: str
    changed: bool


def installation(operator: Operator, path: str, user: str) -> Installation:
    """All that a server of an environment is told."""
    environment = operator.environment
    deploy_key = operator.key(environment.deploy_key)
    public = deploy_key.with_name(f"{deploy_key.name}.pub")
    if not public.is_file():
        raise ReleaseError(
            f"{public} is missing; make it: ssh-keygen -y -f {deploy_key} > {public}"
        )
    return Installation(
        base=BASE,
        user=user,
        release=path,
        deploy_keys=[" ".join(public.read_text().split()[:2])],
        signers=statements.signers_file(environment.builders, dict(environment.approvers)),
        store_keys=list(environment.trusted_store_keys),
        config=SiteConfig(
            environment.name, bool(environment.requires), environment.keep, environment.keep_days,
            float(environment.start_timeout_s),
        ),
        approvers=operator.inventory.approvers_at(environment.name),
    )  # fmt: skip


def set_up(
    operator: Operator, remote: Remote, path: str, wanted: Installation, *, dry_run: bool,
    say: Callable[[str], None],
) -> list[StepDone]:  # fmt: skip
    """Prepare one server.

    Args:
        operator: comes as the servers' admin.
        remote: the server.
        path: of the release whose code becomes the first agent.
        wanted: what it is told.
        dry_run: only say what would change.
        say: told of what takes long.

    Raises:
        UnreachableError: it cannot be reached.
        ReleaseError: it has no Nix, or something cannot be laid down.
    """
    _require_nix(operator, remote)
    if dry_run and not _has(operator, remote, path):
        return [StepDone(f"{path} copied, then set up; run again without --dry-run", changed=True)]
    say(f"{remote.name}: copying {path}")
    remote.copy(path, _TIMEOUT_S)
    words = (f"{path}/bin/windlass", "host", "install", *(("--dry-run",) if dry_run else ()))
    done = operator.shell.attempt(
        argv.ssh(remote.config, remote.name, words), timeout_s=_TIMEOUT_S,
        given=msgspec.json.encode(wanted).decode(),
    )  # fmt: skip
    if done.code != 0:
        raise ReleaseError(f"{remote.name} could not be set up:\n{last_words(done)}")
    return [msgspec.json.decode(line, type=StepDone) for line in done.output.splitlines()]


def _require_nix(operator: Operator, remote: Remote) -> None:
    words = argv.ssh(remote.config, remote.name, ("nix-store", "--version"))
    try:
        done = operator.shell.attempt(words, timeout_s=60.0)
    except CommandError as error:
        raise UnreachableError(f"{remote.name}: {error}") from error
    if done.code == 255:
        raise UnreachableError(f"{remote.name} cannot be reached as admin: {last_words(done)}")
    if done.code != 0:
        raise ReleaseError(f"{remote.name} has no Nix; install it there: {HOW_TO_GET_NIX}")


def _has(operator: Operator, remote: Remote, path: str) -> bool:
    words = argv.ssh(remote.config, remote.name, ("nix-store", "--check-validity", path))
    return operator.shell.attempt(words, timeout_s=60.0).code == 0
