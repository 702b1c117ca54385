"""The operator's side of an environment: who acts, on which hosts, by which keys."""

from __future__ import annotations

import getpass
import secrets
import socket
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from app.errors import AppError, ConfigError, Fault, RefusedError, ReleaseError
from app.release import argv, inventory, statements
from app.release import messages as m
from app.release.fleet import HOW_TO_LEAVE_OUT, gather
from app.release.remote import Remote, write_ssh_config
from app.release.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from app.release.inventory import Environment, Inventory

_Answer = TypeVar("_Answer", bound=msgspec.Struct)
_BUILD_TIMEOUT_S = 3600.0
_TIMEOUT_S = 60.0
_INSTEAD_OF_DEPLOY_KEY = (
    ". An approver needs it not: status, releases, audit, logs, diff and approve take a personal "
    "ssh key by --key FILE"
)


@dataclass(frozen=True, slots=True)
class Operator:
    """Who acts on an environment.

    Attributes:
        by: their name in audit logs.
        remotes: the hosts, in the order of deploy.toml.
    """

    inventory: Inventory
    environment: Environment
    shell: Shell
    by: str
    remotes: list[Remote]

    def deploy_key(self) -> Path:
        """The file of the deploy key.

        Raises:
            ConfigError: it is not there, or others may read it.
        """
        return self.key(self.environment.deploy_key, _INSTEAD_OF_DEPLOY_KEY)

    def key(self, name: str, hint: str = "") -> Path:
        """The file of a key that deploy.toml names.

        Args:
            name: its path, as deploy.toml has it.
            hint: what else one can do when it is not there.

        Raises:
            ConfigError: it is not there, or others may read it.
        """
        path = self.inventory.root / Path(name).expanduser()
        if not path.is_file():
            raise ConfigError(
                "A key is missing:",
                [
                    Fault(
                        str(path),
                        "there is no such file; docs/deploying.md, Keys, says how to make it"
                        f"{hint}",
                    )
                ],
            )
        if path.stat().st_mode & 0o077:
            raise ConfigError("A key is open to others:", [Fault(str(path), "chmod 600 it")])
        return path

    def ask_all(
        self, order: str, message: msgspec.Struct, answer: type[_Answer], timeout_s: float = 60.0
    ) -> dict[str, _Answer]:
        """Ask every host the same, at once.

        Raises:
            ReleaseError: one of them fails; names each and its reason.
        """
        found = gather(self.remotes, lambda one: one.ask(order, message, answer, timeout_s))
        return {one.name: each for one, each in zip(self.remotes, found, strict=True)}

    def try_all(
        self, order: str, message: msgspec.Struct, answer: type[_Answer]
    ) -> dict[str, _Answer | AppError]:
        """As `ask_all`, where a host's failure is its answer."""

        def ask(one: Remote) -> _Answer | AppError:
            try:
                return one.ask(order, message, answer)
            except AppError as error:
                return error

        found = gather(self.remotes, ask)
        return {one.name: each for one, each in zip(self.remotes, found, strict=True)}

    def new_deploy(self) -> str:
        """An id for a run: when it began, and something that no other has."""
        return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"

    # ---- releases

    def build(self) -> str:
        """Build the release of the flake beside deploy.toml and return its store path."""
        output = self.shell.run(argv.build(str(self.inventory.root)), timeout_s=_BUILD_TIMEOUT_S)
        return output.split()[-1]

    def sign(self, path: str) -> m.Signed:
        """Sign a path as a release and, where deploy.toml has a key for it, its store paths."""
        if self.environment.store_key:
            key = self.key(self.environment.store_key)
            self.shell.run(argv.sign_store_paths(path, key), timeout_s=600.0)
        return self.sign_statement(path)

    def sign_statement(self, path: str) -> m.Signed:
        """Sign that a path is a release; its store paths stay as they are."""
        statement = statements.ReleaseStatement(path)
        key = self.key(self.environment.signing_key)
        return statements.sign(self.shell, statement, key, statements.RELEASE)

    def require_whole(self, path: str) -> None:
        """Raise unless a path is whole in the store of this machine."""
        done = self.shell.attempt(argv.invalid([path]), timeout_s=_TIMEOUT_S)
        if done.code != 0 or done.output.strip():
            raise ReleaseError(f"{path} is not in this machine's store; build it, or copy it here")

    def sizes(self, path: str) -> dict[str, int]:
        """The bytes of each store path that a release needs, itself too."""
        closure = self.shell.run(argv.closure(path), timeout_s=_TIMEOUT_S).split()
        sizes = self.shell.run(argv.sizes(closure), timeout_s=_TIMEOUT_S).split()
        return dict(zip(closure, map(int, sizes), strict=True))

    def require_verified(self, status: Mapping[str, m.HostStatus], path: str) -> None:
        """Raise unless every host of an environment has confirmed a release, completely.

        Args:
            status: of the hosts of the environment that must have verified it.
            path: of the release.
        """
        missing = [
            name
            for name, one in status.items()
            if not any(entry.path == path and entry.complete for entry in one.confirmed)
        ]
        if missing:
            raise RefusedError(
                "unapproved",
                f"{path} was never confirmed on {', '.join(missing)}; {self.environment.name} "
                f"takes only what {self.environment.requires} has verified: windlass deploy "
                f"{self.environment.requires} --release {path}",
            )

    def candidates(self) -> dict[str, m.Confirmed]:
        """The releases that every host can roll back to, newest first, by their store path."""
        try:
            hosts = list(self.ask_all("status", m.Nothing(), m.HostStatus).values())
        except ReleaseError as error:
            raise ReleaseError(f"{error}\n{HOW_TO_LEAVE_OUT}") from error
        newest = {one.path: one for status in hosts for one in status.confirmed}
        common = set(newest)
        for status in hosts:
            common &= {one.path for one in status.confirmed} & set(status.kept)
        # Where only some hosts run it, it is a way to bring all of them to one side.
        if len(running := {status.path for status in hosts}) == 1:
            common -= running
        wanted = sorted((newest[path] for path in common), key=lambda one: one.at, reverse=True)
        return {one.path: one for one in wanted}


def caller_name(environ: Mapping[str, str]) -> str:
    """Who calls, as audit logs and notifications have it."""
    return environ.get("GITHUB_ACTOR") or f"{getpass.getuser()}@{socket.gethostname()}"


@contextmanager
def operating(
    config: Path, name: str, environ: Mapping[str, str], *, admin: bool = False,
    without: Sequence[str] = (), personal_key: Path | None = None,
) -> Iterator[Operator]:  # fmt: skip
    """Act on an environment for as long as the block lasts.

    Args:
        config: deploy.toml.
        name: of the environment.
        environ: of this process.
        admin: come as the hosts' `admin`, by the operator's own key, instead of the service's user.
        without: names of hosts that are left out.
        personal_key: an approver's own, private or public, instead of the deploy key.

    Raises:
        ConfigError: deploy.toml is wrong, or a key is missing.
    """
    found = inventory.read(config)
    environment = found.environment(name).leaving_out(without)
    shell = Shell(environ)
    by = caller_name(environ)
    with tempfile.TemporaryDirectory(prefix="windlass-ssh-") as folder:
        operator = Operator(found, environment, shell, by, [])
        key = None
        if not admin:
            key = personal_key.absolute() if personal_key else operator.deploy_key()
        ssh_config = write_ssh_config(environment, Path(folder), key)
        operator.remotes.extend(Remote(host, shell, ssh_config) for host in environment.hosts)
        yield operator
