"""Which releases a host keeps after a deployment: never fewer than it may need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.release.host.retention import kept
from app.release.messages import Begin, Collect, Switch
from tests.release_near import NearFleet, NearShell

if TYPE_CHECKING:
    from pathlib import Path


def test_a_deployment_forgets_what_is_neither_new_nor_young(tmp_path: Path) -> None:
    fleet = NearFleet(tmp_path)
    paths = [fleet.release(letter) for letter in "abcd"]
    for number, path in enumerate(paths):
        assert fleet.deploy(path, f"d-{number}").all_as_wanted
    for host in fleet.hosts:
        assert kept(host.site) == [paths[2], paths[3]], "what runs, and the way back"
        assert [one.path for one in host.site.confirmed()] == paths, "what was is still known"
    said = [event.text for event in fleet.events if event.step == "collect" and event.text]
    assert sorted(set(said)) == [f"{path} is no longer kept" for path in paths[:2]]


def test_what_is_young_is_kept_whatever_its_number(tmp_path: Path) -> None:
    fleet = NearFleet(tmp_path, keep_days=30)
    paths = [fleet.release(letter) for letter in "abcd"]
    for number, path in enumerate(paths):
        fleet.deploy(path, f"d-{number}")
    assert kept(fleet.hosts[0].site) == paths


def test_the_way_back_is_kept_where_it_is_not_among_the_newest(tmp_path: Path) -> None:
    """Going to and fro leaves an origin that was confirmed long before the two newest."""
    fleet = NearFleet(tmp_path)
    a, b, c = (fleet.release(letter) for letter in "abc")
    for number, path in enumerate((a, b, a, c)):
        fleet.deploy(path, f"d-{number}")
    assert kept(fleet.hosts[0].site) == [a, c]


def test_what_is_being_tried_and_what_the_service_started_from_are_never_forgotten(
    tmp_path: Path,
) -> None:
    fleet = NearFleet(tmp_path)
    paths = [fleet.release(letter) for letter in "abc"]
    host = fleet.hosts[0]
    fleet.deploy(paths[0], "d-0")
    (host.site.record / "started").write_text(paths[0])
    for number, path in enumerate(paths[1:], 1):
        fleet.deploy(path, f"d-{number}")
    tried = fleet.release("t")
    fence = host.agent.begin(Begin("d-9", "alice@desk", 60.0)).fence
    host.agent.switching.switch(Switch(fence, "d-9", tried, 60.0, "alice@desk", ""))
    assert host.agent.collect(Collect(fence, "d-9", "alice@desk")).paths == []
    assert kept(host.site) == sorted([paths[0], paths[1], paths[2], tried])


def test_what_cannot_be_collected_is_said_and_fails_no_deployment(tmp_path: Path) -> None:
    fleet = NearFleet(tmp_path)
    shell = fleet.hosts[1].agent.shell
    assert isinstance(shell, NearShell)
    shell.failing.add("--gc")
    for number, letter in enumerate("abc"):
        outcome = fleet.deploy(fleet.release(letter), f"d-{number}")
        assert outcome.all_as_wanted
    said = [event for event in fleet.events if event.step == "collect" and "failed" in event.text]
    assert {event.host for event in said} == {"two"}
    assert all(host.site.confirmed()[-1].complete for host in fleet.hosts)
