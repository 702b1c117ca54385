"""`deploy.toml`: which environments there are, on which hosts, and what a release must pass there.

The file is read whole and every fault is listed, each with the place where it stands and what is
allowed there. Secrets are never in it: where one is needed, it names an environment variable.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import tomllib
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from app.errors import ConfigError, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Check = Callable[[object], str]

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_KEY = re.compile(r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]{40,}={0,3}")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*")
_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_MAIL = re.compile(r"[^@\s]+@[^@\s]+")
_TAKEN = {"web", "nginx", "redis", "supervisord"}
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
        smtp_variable: environment variable with smtp://USER:PASSWORD@HOST:PORT, or smtps://.
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
        approvers: names and public keys of those who may approve.
        store_key: secret key by which Nix signs store paths; empty: they are signed already.
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


@dataclass(frozen=True, slots=True)
class Inventory:
    """All of `deploy.toml`.

    Attributes:
        root: the folder of the file; keys and the flake are found from there.
    """

    root: Path
    environments: Mapping[str, Environment]

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


def read(path: Path) -> Inventory:
    """Read and check `deploy.toml`.

    Raises:
        ConfigError: with every fault.
    """
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(
            "deploy.toml cannot be read:",
            [
                Fault(
                    str(path),
                    f"{error.strerror}; docs/deploying.md shows one; or name it: --config",
                )
            ],
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("deploy.toml is not TOML:", [Fault(str(path), str(error))]) from error
    reader = _Reader()
    environments = reader.environments(document)
    faults = reader.faults or _contradictions(environments)
    if faults:
        raise ConfigError(f"{path} has faults (docs/deploying.md explains each entry):", faults)
    return Inventory(path.absolute().parent, environments)


# ---- what may stand where: each check returns what is allowed, or nothing when it is right


def _matching(expression: re.Pattern[str], allowed: str) -> Check:
    def check(value: object) -> str:
        return "" if isinstance(value, str) and expression.fullmatch(value) else allowed

    return check


def _number(low: float, high: float, *, whole: bool = True) -> Check:
    kind = "a whole number" if whole else "a number"

    def check(value: object) -> str:
        right = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        fits = right and low <= value <= high  # type: ignore[operator]
        return "" if fits else f"{kind} from {low:g} to {high:g}"

    return check


def _one_of(*words: str) -> Check:
    return lambda value: "" if value in words else f"one of {', '.join(words)}"


def _list_of(one: Check, what: str) -> Check:
    def check(value: object) -> str:
        if not isinstance(value, list) or not value:
            return f"a list of {what}"
        allowed = [text for text in map(one, value) if text]
        return f"a list of {what}, each {allowed[0]}" if allowed else ""

    return check


def _address(value: object) -> str:
    if isinstance(value, str) and _HOST_NAME.fullmatch(value):
        return ""
    try:
        ipaddress.ip_address(str(value))
    except ValueError:
        return "a host name or an IP address"
    return ""


def _approvers(value: object) -> str:
    if not isinstance(value, dict) or not value:
        return 'a table of NAME = "PUBLIC KEY"'
    for name, key in value.items():
        if not re.fullmatch(r"[A-Za-z0-9._@-]{1,64}", name) or _public_key(key):
            return f'a table of NAME = "PUBLIC KEY"; {name} is {_public_key(key) or "no name"}'
    return ""


_name = _matching(_NAME, "a small letter, then up to 30 small letters, digits and hyphens")
_public_key = _matching(_KEY, "a public key as in a .pub file, without its comment")
_user = _matching(_USER, "a user name")
_text = _matching(re.compile(r".*", re.DOTALL), "text")
_file = _matching(re.compile(r"[^\0\n]+"), "the path of a file")
_variable = _matching(_VARIABLE, "the name of an environment variable, in capitals")
_mail = _matching(_MAIL, "a mail address")
_seconds = _number(10, 3600)

_HOST_CHECKS: dict[str, Check] = {
    "name": _name, "address": _address, "host_key": _public_key, "user": _user,
    "port": _number(1, 65535), "admin": _user,
}  # fmt: skip
_SMOKE_CHECKS: dict[str, Check] = {
    "path": _matching(_PATH, "a path such as /health"), "status": _number(100, 599),
    "contains": _text,
}  # fmt: skip
_BAKE_CHECKS: dict[str, Check] = {
    "seconds": _number(0, 86_400), "baseline_s": _number(10, 86_400),
    "error_rate": _number(0, 1, whole=False), "slow_factor": _number(1, 1000, whole=False),
    "slow_floor_ms": _number(0, 60_000),
}  # fmt: skip
_NOTIFY_CHECKS: dict[str, Check] = {
    "kind": _one_of("slack", "webhook", "email"), "url_variable": _variable,
    "to": _list_of(_mail, "mail addresses"), "sender": _mail, "smtp_variable": _variable,
    "on": _list_of(_one_of(*EVENTS), "events"),
}  # fmt: skip
_ENVIRONMENT_CHECKS: dict[str, Check] = {
    "requires": _name, "batch": _number(1, 1000), "window_s": _number(5, 3600),
    "start_timeout_s": _seconds, "keep": _number(2, 1000), "keep_days": _number(0, 3650),
    "deploy_key": _file, "signing_key": _file, "store_key": _file,
    "builders": _list_of(_public_key, "public keys"),
    "trusted_store_keys": _list_of(
        _matching(re.compile(r"[^:\s]+:[A-Za-z0-9+/]{43}="), "NAME:KEY, as Nix has it"), "keys"
    ),
    "approvers": _approvers,
}  # fmt: skip


class _Reader:
    """Reads tables and collects what is wrong with them."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def environments(self, document: dict[str, Any]) -> dict[str, Environment]:
        tables = document.pop("environments", None)
        self._unknown(document, {"environments"}, "")
        if not isinstance(tables, dict) or not tables:
            self.faults.append(
                Fault("environments", "is missing; write a table [environments.staging]")
            )
            return {}
        found = {}
        for name, table in tables.items():
            where = f"environments.{name}"
            if allowed := _name(name):
                self.faults.append(Fault(where, f"the name is wrong; allowed: {allowed}"))
            elif name in _TAKEN:
                self.faults.append(Fault(where, "is the name of a program; choose another"))
            elif not isinstance(table, dict):
                self.faults.append(Fault(where, "must be a table"))
            elif environment := self._environment(name, table, where):
                found[name] = environment
        return found

    def _environment(self, name: str, table: dict[str, Any], where: str) -> Environment | None:
        before = len(self.faults)
        values = dict(table)
        parts: dict[str, Any] = {
            "hosts": self._tables(values, "hosts", Host, _HOST_CHECKS, where),
            "smoke": self._tables(values, "smoke", Smoke, _SMOKE_CHECKS, where),
            "notify": self._tables(values, "notify", Notify, _NOTIFY_CHECKS, where),
        }
        bake = values.pop("bake", {})
        parts["bake"] = self._make(Bake, bake, _BAKE_CHECKS, f"{where}.bake") or Bake()
        if not parts["hosts"] and "hosts" not in table:
            self.faults.append(Fault(f"{where}.hosts", "is missing; at least one host is needed"))
        if not parts["smoke"]:
            del parts["smoke"]
        given = self._check(Environment, values, _ENVIRONMENT_CHECKS, where, {"name", "hosts"})
        if len(self.faults) > before:
            return None
        return Environment(name=name, **given, **parts)

    def _tables(
        self, values: dict[str, Any], key: str, kind: type, checks: dict[str, Check], where: str
    ) -> tuple[Any, ...]:
        tables = values.pop(key, [])
        if not isinstance(tables, list):
            self.faults.append(Fault(f"{where}.{key}", f"must be tables [[{where}.{key}]]"))
            return ()
        made = [
            self._make(kind, table, checks, f"{where}.{key}[{number}]")
            for number, table in enumerate(tables)
        ]
        return tuple(one for one in made if one is not None)

    def _make(self, kind: type, table: object, checks: dict[str, Check], where: str) -> Any:  # noqa: ANN401 - of `kind`
        if not isinstance(table, dict):
            self.faults.append(Fault(where, "must be a table"))
            return None
        before = len(self.faults)
        values = self._check(kind, table, checks, where, set())
        return kind(**values) if len(self.faults) == before else None

    def _check(
        self, kind: type, table: dict[str, Any], checks: dict[str, Check], where: str,
        elsewhere: set[str],
    ) -> dict[str, Any]:  # fmt: skip
        self._unknown(table, set(checks), where)
        for one in fields(kind):
            needed = one.default is MISSING and one.default_factory is MISSING
            if needed and one.name not in table and one.name not in elsewhere:
                allowed = checks[one.name](None)
                self.faults.append(Fault(f"{where}.{one.name}", f"is missing; allowed: {allowed}"))
        for key, value in table.items():
            if key in checks and (allowed := checks[key](value)):
                self.faults.append(
                    Fault(f"{where}.{key}", f"the value {value!r} is wrong; allowed: {allowed}")
                )
        return {
            key: tuple(value) if isinstance(value, list) else value for key, value in table.items()
        }

    def _unknown(self, table: dict[str, Any], known: set[str], where: str) -> None:
        for key in table:
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                hint = f"; did you mean {close[0]}?" if close else ""
                place = f"{where}.{key}" if where else key
                self.faults.append(Fault(place, f"is not known{hint}"))


def _contradictions(environments: Mapping[str, Environment]) -> list[Fault]:
    """What each entry allows, and another does not."""
    faults = []
    for environment in environments.values():
        where = f"environments.{environment.name}"
        for what in ("name", "address"):
            values = [(getattr(host, what), host.port if what == "address" else 0)
                      for host in environment.hosts]  # fmt: skip
            twice = sorted({value for value, port in values if values.count((value, port)) > 1})
            faults += [Fault(f"{where}.hosts", f"two hosts have the {what} {one}") for one in twice]
        if environment.requires and environment.requires not in environments:
            faults.append(Fault(f"{where}.requires", f"{environment.requires} is no environment"))
        elif _requires_itself(environment, environments):
            faults.append(Fault(f"{where}.requires", "leads back to this environment"))
        if environment.requires and not environment.approvers:
            faults.append(
                Fault(f"{where}.approvers", 'is missing: who may approve, as NAME = "PUBLIC KEY"')
            )
        faults += _of_notify(environment, where)
    return faults


def _requires_itself(environment: Environment, all_of_them: Mapping[str, Environment]) -> bool:
    seen: set[str] = set()
    at: Environment | None = environment
    while at is not None and at.requires:
        if at.requires in seen or at.requires == environment.name:
            return True
        seen.add(at.requires)
        at = all_of_them.get(at.requires)
    return False


def _of_notify(environment: Environment, where: str) -> list[Fault]:
    needed = {"slack": ("url_variable",), "webhook": ("url_variable",),
              "email": ("to", "sender", "smtp_variable")}  # fmt: skip
    return [
        Fault(f"{where}.notify[{number}].{name}", f"is missing; {notify.kind} needs it")
        for number, notify in enumerate(environment.notify)
        for name in needed[notify.kind]
        if not getattr(notify, name)
    ]
