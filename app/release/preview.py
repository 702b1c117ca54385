"""What a deployment would change, found out before anything is sent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from app.errors import AppError, CommandError
from app.release import argv
from app.release import messages as m

if TYPE_CHECKING:
    from app.release.operator import Operator
    from app.release.remote import Remote

_NAME = re.compile(r"/nix/store/[0-9a-z]{32}-(?P<name>.+?)(-(?P<version>[0-9][^/]*))?")
_TIMEOUT_S = 120.0


class HostPreview(msgspec.Struct):
    """What would change on one host.

    Attributes:
        path: of the release that it is set to; empty: none.
        bytes_to_send: uncompressed.
        free_bytes: in the file system of its store.
        difference: of the rendered configuration; where the release is not there yet, why not.
        new_settings: that the new release has and the old one has not: they have their defaults.
        unknown_settings: in the host's settings.env and not of the new release.
    """

    path: str
    commit: str
    bytes_to_send: int
    free_bytes: int
    difference: str
    new_settings: list[str]
    unknown_settings: list[str]


class Preview(msgspec.Struct):
    """What a deployment would change.

    Attributes:
        added, removed: packages of the closure, NAME VERSION, beside those of the first host.
        changed: NAME OLD -> NEW.
        commits: that are new, a line each; of the first host.
    """

    release: str
    commit: str
    added: list[str]
    removed: list[str]
    changed: list[str]
    commits: list[str]
    hosts: dict[str, HostPreview]


def preview(operator: Operator, path: str) -> Preview:
    """Find out what deploying a release would change."""
    operator.require_whole(path)
    size_of = operator.sizes(path)
    signed = operator.sign_statement(path)
    hosts = {remote.name: _of_host(remote, path, signed, size_of) for remote in operator.remotes}
    first = next(iter(hosts.values()))
    commit = commit_of(path)
    added, removed, changed = _packages(_closure_of(operator, first.path), list(size_of))
    return Preview(
        path, commit, added, removed, changed, commits(operator, first.commit, commit), hosts
    )


def commits(operator: Operator, base: str, target: str) -> list[str]:
    """The commits that `target` has and `base` has not, as the checkout here knows them."""
    if not base or not target or base == target:
        return []
    try:
        output = operator.shell.run(
            argv.commits(operator.inventory.root, base, target), timeout_s=_TIMEOUT_S
        )
    except CommandError:
        return [f"(this checkout does not know both {base[:7]} and {target[:7]})"]
    return output.splitlines()


def commit_of(path: str) -> str:
    """The commit of a release in this machine's store; empty where it says none."""
    try:
        with open(f"{path}/release.json", "rb") as file:  # noqa: PTH123
            return str(msgspec.json.decode(file.read(), type=dict[str, object])["commit"])
    except (OSError, msgspec.MsgspecError, KeyError):
        return ""


def _of_host(remote: Remote, path: str, signed: m.Signed, size_of: dict[str, int]) -> HostPreview:
    status = remote.ask("status", m.Nothing(), m.HostStatus)
    inspected = remote.ask("inspect", m.Inspect(sorted(size_of)), m.Inspected)
    to_send = sum(size_of[missing] for missing in inspected.missing)
    rendered = m.Rendered("the release is not on this host yet; deploy checks it there", [], [])
    if path not in inspected.missing:
        try:
            rendered = remote.ask("render", m.Render(path, signed), m.Rendered)
        except AppError as error:
            rendered = m.Rendered(f"cannot be rendered: {error}", [], [])
    return HostPreview(
        status.path, status.commit, to_send, inspected.free_bytes, rendered.difference,
        rendered.new_settings, rendered.unknown_settings,
    )  # fmt: skip


def _closure_of(operator: Operator, path: str) -> list[str]:
    """The closure of a release that this machine has, too; nothing else can be compared."""
    if not path:
        return []
    done = operator.shell.attempt(argv.closure(path), timeout_s=_TIMEOUT_S)
    return done.output.split() if done.code == 0 else []


def _packages(old: list[str], new: list[str]) -> tuple[list[str], list[str], list[str]]:
    before, after = _versions(old), _versions(new)
    added = [f"{name} {after[name]}".strip() for name in sorted(after.keys() - before.keys())]
    removed = [f"{name} {before[name]}".strip() for name in sorted(before.keys() - after.keys())]
    changed = [
        f"{name} {before[name]} -> {after[name]}"
        for name in sorted(after.keys() & before.keys())
        if before[name] != after[name]
    ]
    return added, removed, changed


def _versions(paths: list[str]) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for path in paths:
        if match := _NAME.fullmatch(path):
            found.setdefault(match["name"], set()).add(match["version"] or "")
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}
