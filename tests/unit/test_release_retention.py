"""Which releases a host keeps after a deployment: never fewer than it may need."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import msgspec

from app.release.host.retention import kept
from app.release.messages import Begin, Collect, End, Switch
from tests.release_near import NearFleet, NearShell

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


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


def test_a_full_disk_keeps_nobody_from_making_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = NearFleet(tmp_path)
    one = fleet.host("one")
    fence = one.agent.begin(Begin("d-0", "alice@desk", 60.0)).fence
    one.agent.end(End(fence, "d-0", "alice@desk", "failed"))
    spare = one.site.record / "spare"
    assert spare.stat().st_blocks * 512 >= one.site.spare_bytes, "the room is truly held"

    def full(_descriptor: int) -> None:
        if spare.exists():
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    fence = one.agent.begin(Begin("d-1", "alice@desk", 60.0)).fence
    assert one.agent.collect(Collect(fence, "d-1", "alice@desk")).paths == []


def test_a_disk_that_is_full_without_a_spare_is_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = NearFleet(tmp_path).host("one")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    order = msgspec.json.encode(Begin("d-1", "alice@desk", 60.0))
    refusal = one.agent.answer("begin", order).refusal
    assert refusal is not None
    assert refusal.code == "unfit"
    assert refusal.reason.startswith("the disk is full; make room with: windlass gc")
