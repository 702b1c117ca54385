"""A host as the deployer sees it: orders over ssh, store paths by nix-copy-closure.

Every order is a connection of its own, so each one shows that the host can be reached anew; all but
the extension of a lease, which comes often, and must get through where a machine is so busy that a
new process takes seconds. Only the host key of deploy.toml is accepted; ssh's own configuration and
known hosts are not read.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec

from app.errors import CommandError, RefusedError, UnreachableError
from app.release import argv
from app.release import messages as m
from app.release.shell import Conversation, last_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from app.release.inventory import Environment, Host
    from app.release.shell import Shell

    Extend = Callable[[m.Extend, float], None]

_CONNECT_S = 8
_ALIVE_S = 5
_SSH_FAILED = 255
_Answer = TypeVar("_Answer", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Remote:
    """One host, and the way to it.

    Attributes:
        config: the ssh configuration that `write_ssh_config` made.
    """

    host: Host
    shell: Shell
    config: Path

    @property
    def name(self) -> str:
        """By which people call it."""
        return self.host.name

    def end_commands(self) -> None:
        """End the commands that are waited for, of other hosts, too; held leases stay held."""
        self.shell.end_running()

    def ask(
        self, order: str, message: msgspec.Struct, answer: type[_Answer], timeout_s: float = 60.0
    ) -> _Answer:
        """Give an order and return the answer.

        Raises:
            RefusedError: the host says no.
            UnreachableError: it cannot be reached, or gives no answer in time.
        """
        command = argv.ssh(self.config, self.name, argv.order(order))
        given = msgspec.json.encode(message).decode()
        try:
            done = self.shell.attempt(command, timeout_s=timeout_s, given=given)
        except CommandError as error:
            raise UnreachableError(
                f"{self.name} gave no answer to {order} within {timeout_s:g} s"
            ) from error
        try:
            reply = msgspec.json.decode(done.output, type=m.Reply[answer])  # type: ignore[valid-type]
        except msgspec.MsgspecError as error:
            raise self._unreachable(order, done.code, last_words(done)) from error
        if reply.refusal is not None:
            raise RefusedError(reply.refusal.code, reply.refusal.reason)
        if done.code != 0:
            raise self._unreachable(order, done.code, last_words(done))
        return cast("_Answer", reply.answer)

    @contextmanager
    def extending(self) -> Iterator[Extend]:
        """Extend a lease by what this gives, over one connection that is kept.

        It raises as `ask` does. What breaks the connection is tried by one of its own, at once; the
        next extension makes another that is kept.
        """
        kept: list[Conversation] = []

        def extend(order: m.Extend, timeout_s: float) -> None:
            try:
                if not kept:
                    words = argv.ssh(self.config, self.name, argv.order("hold"))
                    kept.append(Conversation(words, self.shell.environ))
                said = kept[0].ask(msgspec.json.encode(order), timeout_s)
                reply = msgspec.json.decode(said, type=m.Reply[m.Nothing])
            except (CommandError, msgspec.MsgspecError):
                if kept:
                    kept.pop().close()
                self.ask("extend", order, m.Nothing, timeout_s)
                return
            if reply.refusal is not None:
                raise RefusedError(reply.refusal.code, reply.refusal.reason)

        try:
            yield extend
        finally:
            for conversation in kept:
                conversation.close()

    def copy(self, path: str, timeout_s: float) -> None:
        """Send a store path with all that it needs; what is there already is not sent.

        Raises:
            UnreachableError: the host cannot be reached.
            CommandError: it does not take the path: unsigned, or a full disk; carries its words.
        """
        environ = {**self.shell.environ, "NIX_SSHOPTS": f"-F {self.config}"}
        done = self.shell.attempt(
            argv.copy_closure(self.name, path), timeout_s=timeout_s, environ=environ
        )
        if done.code == 0:
            return
        said = last_words(done)
        if "lacks a valid signature" in said or "lacks a signature by a trusted key" in said:
            raise RefusedError(
                "unsigned",
                f"{self.name} takes only store paths that are signed by a key it trusts; set "
                f"store_key in deploy.toml, or sign with: nix store sign. It said:\n{said}",
            )
        if "No space left" in said or "disk is full" in said:
            raise RefusedError(
                "unfit", f"the disk of {self.name} is full; make room with: windlass gc. It said:\n"
                f"{said}"
            )  # fmt: skip
        raise CommandError(f"{path} could not be copied to {self.name}:\n{said}")

    def _unreachable(self, order: str, code: int, said: str) -> UnreachableError:
        if "REMOTE HOST IDENTIFICATION HAS CHANGED" in said or "Host key verification" in said:
            return UnreachableError(
                f"{self.name} shows another host key than deploy.toml has. If the machine was made "
                "anew, compare the key on its console and enter it; if not, somebody is in between"
            )
        if code == _SSH_FAILED:
            reason = said or "the connection ended"
            return UnreachableError(
                f"{self.name} cannot be reached by ssh: {reason}{_hint_on(said)}"
            )
        return UnreachableError(f"{self.name} did not answer {order}: {said or 'nothing was said'}")


def _hint_on(said: str) -> str:
    if "Permission denied" not in said:
        return ""
    return (
        "\nIt takes the deploy key and the approvers' keys that it was set up with. If this is one "
        "of them, is it in your agent, where it has a passphrase? If not: windlass setup"
    )


def write_ssh_config(environment: Environment, folder: Path, key: Path | None) -> Path:
    """Write the ssh configuration of an environment's hosts and the host keys that it pins.

    Args:
        environment: whose hosts are meant.
        folder: of this user only; what is written goes there.
        key: private key that opens the forced command, or the public file of one that the
            operator's agent has; None: come as the hosts' admin, by whichever key their agent or
            files have.
    """
    known = folder / "known_hosts"
    known.write_text("".join(f"{host.name} {host.host_key}\n" for host in environment.hosts))
    config = folder / "ssh_config"
    config.write_text("\n".join(_section(host, key, known) for host in environment.hosts))
    return config


def _section(host: Host, key: Path | None, known: Path) -> str:
    options: Sequence[tuple[str, object]] = (
        ("HostName", host.address),
        ("Port", host.port),
        ("User", host.user if key else host.admin),
        *((("IdentityFile", f'"{key}"'), ("IdentitiesOnly", "yes")) if key else ()),
        ("HostKeyAlias", host.name),
        ("UserKnownHostsFile", known),
        ("GlobalKnownHostsFile", "/dev/null"),
        ("StrictHostKeyChecking", "yes"),
        ("UpdateHostKeys", "no"),
        ("BatchMode", "yes"),
        ("PasswordAuthentication", "no"),
        ("ControlMaster", "no"),
        ("ControlPath", "none"),
        ("ConnectTimeout", _CONNECT_S),
        ("ServerAliveInterval", _ALIVE_S),
        ("ServerAliveCountMax", 3),
        ("ForwardAgent", "no"),
        ("ClearAllForwardings", "yes"),
        ("LogLevel", "ERROR"),
    )
    return "\n".join([f"Host {host.name}", *(f"    {name} {text}" for name, text in options), ""])
