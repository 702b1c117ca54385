"""The entries of `deploy.toml`, as the rest sees them: checked, and with their defaults."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from app.errors import ConfigError, Fault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

EVENTS = ("started", "succeeded", "failed", "rolled-back")


@dataclass(frozen=True, slots=True)
class Host:
    """One server of an environment.

    Attributes:
        name: by which people and logs call it.
        address: name or IP address that ssh connects to.
        host_key: its public host key, the only one that is accepted.
        user: the unprivileged user of the service.
        port: of its sshd.
        admin: the user by whom `windlass setup` comes; needs root's rights.
    """

    name: str
    address: str
    host_key: str
    user: str = "windlass"
    port: int = 22
    admin: str = "root"


@dataclass(frozen=True, slots=True)
class Smoke:
    """One request that a new release must answer on every host, through Nginx.

    Attributes:
        path: of a GET.
        status: of its answer.
        contains: text that is in its body; empty: any body.
    """

    path: str
    status: int = 200
    contains: str = ""


@dataclass(frozen=True, slots=True)
class Bake:
    """How real traffic is watched after a switch, and what is too bad to keep.

    Attributes:
        seconds: for which it is watched; 0: not at all.
        baseline_s: seconds before the switch that it is compared with.
        error_rate: share of answers 5xx that is borne, whatever the share was before.
        slow_factor: how many times the p99 of before is slow.
        slow_floor_ms: what is faster than this is never slow.
    """

    seconds: int = 60
    baseline_s: int = 300
    error_rate: float = 0.005
    slow_factor: float = 3.0
    slow_floor_ms: int = 500


@dataclass(frozen=True, slots=True)
class Notify:
    """Somebody who is told how deployments go.

    Attributes:
        kind: slack (any webhook that takes {"text": ...}), webhook (the event as JSON) or email.
        url_variable: environment variable with the webhook's URL.
        to: addresses of the mail.
        sender: address that the mail comes from.
        smtp_variable: environment variable with the mail server's URL, smtps:// or smtp://, with
            user and password where it wants them.
        on: events that are told of.
    """

    kind: str
    url_variable: str = ""
    to: tuple[str, ...] = ()
    sender: str = ""
    smtp_variable: str = ""
    on: tuple[str, ...] = EVENTS


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment.

    Attributes:
        hosts: in the order in which they are switched.
        requires: the environment whose hosts must have verified a release, and for which a person
            must have approved it; empty: none.
        batch: how many hosts are switched at a time.
        window_s: seconds after which a host goes back by itself when the deployer falls silent, and
            after which its lock is free again.
        start_timeout_s: seconds that a host's switch and its probes may take.
        keep: releases that a host keeps at least.
        keep_days: days for which it keeps every release.
        deploy_key: private key that opens the hosts' forced command.
        signing_key: private key that signs releases.
        builders: public keys whose signature makes a path a release.
        approvers: names and public keys of those who may approve; they may also look, here and
            at what this environment requires.
        store_key: secret key by which Nix signs store paths; empty: they are signed already.
        without: names of the hosts that stand in deploy.toml and are left out this time.
    """

    name: str
    hosts: tuple[Host, ...]
    deploy_key: str
    signing_key: str
    builders: tuple[str, ...]
    requires: str = ""
    approvers: Mapping[str, str] = field(default_factory=dict)
    store_key: str = ""
    trusted_store_keys: tuple[str, ...] = ()
    batch: int = 1
    window_s: int = 60
    start_timeout_s: int = 120
    keep: int = 5
    keep_days: int = 30
    smoke: tuple[Smoke, ...] = (Smoke("/health"), Smoke("/ready"))
    bake: Bake = field(default_factory=Bake)
    notify: tuple[Notify, ...] = ()
    without: tuple[str, ...] = ()

    def leaving_out(self, names: Sequence[str]) -> Environment:
        """The environment without some of its hosts.

        Raises:
            ConfigError: it has no such host, or no other.
        """
        there = [host.name for host in self.hosts]
        faults = [Fault(name, f"there are: {', '.join(there)}")
                  for name in names if name not in there]  # fmt: skip
        left = tuple(host for host in self.hosts if host.name not in names)
        if not left:
            faults.append(Fault("--without", "at least one host must be left"))
        if faults:
            raise ConfigError(f"These hosts of {self.name} cannot be left out:", faults)
        return replace(self, hosts=left, without=tuple(dict.fromkeys(names)))


@dataclass(frozen=True, slots=True)
class Inventory:
    """All of `deploy.toml`.

    Attributes:
        root: the folder of the file; keys and the flake are found from there.
    """

    root: Path
    environments: Mapping[str, Environment]

    def approvers_at(self, name: str) -> list[tuple[str, str]]:
        """Names and public keys of those who may look at an environment's hosts.

        They are its own approvers, and those of environments that require it: these read there
        what it has verified.
        """
        concerned = [one for one in self.environments.values() if name in (one.name, one.requires)]
        found = ((who, key) for one in concerned for who, key in one.approvers.items())
        return list(dict.fromkeys(found))

    def environment(self, name: str) -> Environment:
        """The environment of a name.

        Raises:
            ConfigError: there is none; says which there are.
        """
        if name in self.environments:
            return self.environments[name]
        there = ", ".join(self.environments)
        raise ConfigError(
            "deploy.toml has no such environment:", [Fault(name, f"there are: {there}")]
        )
