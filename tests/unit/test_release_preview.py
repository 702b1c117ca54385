"""What a plan says of packages, configuration and settings: of releases that are folders."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from app.release.host.rendering import rendered
from app.release.host.site import Site
from app.release.inventory import Environment, Inventory
from app.release.operator import Operator
from app.release.preview import difference_by_default, packages
from app.release.shell import Shell

if TYPE_CHECKING:
    from pathlib import Path

NAME = "/nix/store/" + "a" * 32 + "-"


def release(folder: Path, letter: str, nginx: str, settings: list[str]) -> str:
    """A release that carries a configuration and knows settings."""
    path = folder / "store" / f"{letter * 32}-windlass"
    carried = path / "share" / "windlass"
    for made in (carried, path / "bin"):
        made.mkdir(parents=True)
    (carried / "nginx.conf").write_text(nginx)
    (carried / "supervisord.conf").write_text("same\n")
    (path / "settings").write_text(json.dumps([{"name": name} for name in settings]))
    program = path / "bin" / "windlass"
    program.write_text(f"#!/bin/sh\n[ $1 != config ] || cat {path}/settings\n")
    program.chmod(0o755)
    return str(path)


def operator(tmp_path: Path, closure: str) -> Operator:
    """An operator whose store answers every question with the same words."""
    program = tmp_path / "nix-store"
    program.write_text(f"#!/bin/sh\n{closure}\n")
    program.chmod(0o755)
    environment = Environment("staging", (), "key", "key", ())
    shell = Shell({"PATH": f"{tmp_path}:/usr/bin:/bin"})
    return Operator(Inventory(tmp_path, {}), environment, shell, "alice@desk", [])


def test_packages_are_compared_with_what_runs(tmp_path: Path) -> None:
    ours = operator(tmp_path, f"echo {NAME}nginx-1.0 {NAME}gone-2.0")
    new = [f"{NAME}nginx-1.1", f"{NAME}come-3.0"]
    assert packages(ours, "/x", new) == (["come 3.0"], ["gone 2.0"], ["nginx 1.0 -> 1.1"])


def test_what_this_machine_does_not_have_is_not_taken_for_nothing(tmp_path: Path) -> None:
    added, removed, changed = packages(operator(tmp_path, "exit 1"), "/x", [f"{NAME}nginx-1.1"])
    assert (added, removed) == ([], [])
    assert changed == ["(cannot be compared: /x is not in this machine's store)"]
    assert packages(operator(tmp_path, "exit 1"), "", [f"{NAME}nginx-1.1"])[0] == ["nginx 1.1"]


@pytest.mark.parametrize(
    ("nginx", "said"),
    [
        ("gzip on;\n", "stays as it is"),
        ("gzip off;\n", "differs:\n--- nginx.conf\n+++ nginx.conf (new)\n@@ -1 +1 @@\n-gzip on;"),
    ],
)
def test_a_release_that_is_not_on_a_host_yet_is_compared_by_default_settings(
    tmp_path: Path, nginx: str, said: str
) -> None:
    old, new = release(tmp_path, "o", "gzip on;\n", []), release(tmp_path, "n", nginx, [])
    assert f"by default settings the configuration {said}" in difference_by_default(old, new)
    assert "cannot be compared here" in difference_by_default("/nowhere", new)
    assert difference_by_default("", new) == "nothing is deployed here yet; deploy checks it there"


def test_a_new_setting_that_the_host_gives_is_not_at_its_default(tmp_path: Path) -> None:
    site = Site(tmp_path, tmp_path / "store")
    site.links.mkdir()
    site.profile.symlink_to(release(tmp_path, "o", "", ["PORT"]))
    site.settings.write_text("GIVEN=1\nOLD=2\n")
    new = release(tmp_path, "n", "", ["PORT", "GIVEN", "LEFT"])
    found = rendered(site, Shell({"PATH": "/usr/bin:/bin"}), new)
    assert (found.new_settings, found.unknown_settings) == (["LEFT"], ["OLD"])
