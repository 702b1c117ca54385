"""Reads `deploy.toml`: whole, and with every fault listed.

Each fault says where it stands and what is allowed there; `allowed` knows that.
"""

from __future__ import annotations

import contextlib
import difflib
import tomllib
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.errors import ConfigError, Fault
from app.release.inventory import allowed
from app.release.inventory.entries import Bake, Environment, Host, Inventory, Notify, Smoke
from app.release.messages import DEPLOY_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.release.inventory.allowed import Check

_TAKEN = {"web", "nginx", "redis", "supervisord"}


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
    root = path.absolute().parent
    faults = reader.faults or [*_contradictions(environments), *_of_keys(environments, root)]
    if faults:
        raise ConfigError(f"{path} has faults (docs/deploying.md explains each entry):", faults)
    return Inventory(root, environments)


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
            if wrong := allowed.name(name):
                self.faults.append(Fault(where, f"the name is wrong; allowed: {wrong}"))
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
            "hosts": self._tables(values, "hosts", Host, allowed.HOST, where),
            "smoke": self._tables(values, "smoke", Smoke, allowed.SMOKE, where),
            "notify": self._tables(values, "notify", Notify, allowed.NOTIFY, where),
        }
        bake = values.pop("bake", {})
        parts["bake"] = self._make(Bake, bake, allowed.BAKE, f"{where}.bake") or Bake()
        if table.get("hosts", []) == []:
            self.faults.append(Fault(f"{where}.hosts", "is missing; at least one host is needed"))
        if not parts["smoke"]:
            del parts["smoke"]
        given = self._check(Environment, values, allowed.ENVIRONMENT, where, {"name", "hosts"})
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
                right = checks[one.name](None)
                self.faults.append(Fault(f"{where}.{one.name}", f"is missing; allowed: {right}"))
        for key, value in table.items():
            if key in checks and (right := checks[key](value)):
                self.faults.append(
                    Fault(f"{where}.{key}", f"the value {value!r} is wrong; allowed: {right}")
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


def _of_keys(environments: Mapping[str, Environment], root: Path) -> list[Fault]:
    """A key says who somebody is, and what they may: it is of one approver, and no deploy key.

    Deploy keys are known as far as their public files are here; where hosts are set up, they are.
    """
    owners: dict[str, str] = {}
    for environment in environments.values():
        with contextlib.suppress(OSError, RuntimeError, UnicodeDecodeError):
            file = root / Path(environment.deploy_key).expanduser()
            public = file.with_name(f"{file.name}.pub").read_text().split()[:2]
            owners[" ".join(public)] = f"the deploy key of {environment.name}"
    faults = []
    for environment in environments.values():
        for name, key in environment.approvers.items():
            where = f"environments.{environment.name}.approvers.{name}"
            if name == DEPLOY_KEY:
                faults.append(Fault(where, "is how audit logs call the deploy key; rename it"))
            elif (owner := owners.setdefault(key, f"{name}'s key")) != f"{name}'s key":
                faults.append(Fault(where, f"is {owner}, too; each needs a key of their own"))
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
