"""What a deployment would change, found out before anything is sent."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
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
        difference: of the rendered configuration; where the release is not there yet, of both as
            they are by default settings.
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
        changed: NAME OLD -> NEW; or why nothing can be compared.
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
    added, removed, changed = packages(operator, first.path, list(size_of))
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


def difference_by_default(old: str, new: str) -> str:
    """How the configuration of two releases differs, as they carry it: by default settings."""
    if not old:
        return "nothing is deployed here yet; deploy checks it there"
    said = ["the release is not on this host yet; deploy checks it there"]
    for name in ("supervisord.conf", "nginx.conf"):
        try:
            before, after = (
                Path(release, "share", "windlass", name).read_text().splitlines()
                for release in (old, new)
            )
        except OSError:
            return f"{said[0]}; by default settings it cannot be compared here"
        said += difflib.unified_diff(before, after, name, f"{name} (new)", lineterm="", n=1)
    if len(said) == 1:
        return f"{said[0]}; by default settings the configuration stays as it is"
    return "\n".join([f"{said[0]}; by default settings the configuration differs:", *said[1:]])


def _of_host(remote: Remote, path: str, signed: m.Signed, size_of: dict[str, int]) -> HostPreview:
    status = remote.ask("status", m.Nothing(), m.HostStatus)
    inspected = remote.ask("inspect", m.Inspect(sorted(size_of)), m.Inspected)
    to_send = sum(size_of[missing] for missing in inspected.missing)
    rendered = m.Rendered(difference_by_default(status.path, path), [], [])
    if path not in inspected.missing:
        try:
            rendered = remote.ask("render", m.Render(path, signed), m.Rendered)
        except AppError as error:
            rendered = m.Rendered(f"cannot be rendered: {error}", [], [])
    return HostPreview(
        status.path, status.commit, to_send, inspected.free_bytes, rendered.difference,
        rendered.new_settings, rendered.unknown_settings,
    )  # fmt: skip


def packages(
    operator: Operator, running: str, new: list[str]
) -> tuple[list[str], list[str], list[str]]:
    """The packages that a closure adds to a running release's, removes from it, and changes."""
    old: list[str] = []
    if running:
        done = operator.shell.attempt(argv.closure(running), timeout_s=_TIMEOUT_S)
        if done.code != 0:
            return [], [], [f"(cannot be compared: {running} is not in this machine's store)"]
        old = done.output.split()
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
