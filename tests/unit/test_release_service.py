"""What the host agent has of the service: real commands of a release that is a script."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import msgspec
import pytest

from app.errors import RefusedError, ReleaseError
from app.release.host.service import Service
from app.release.host.site import Site, SiteConfig
from app.release.messages import HostStatus, Reply
from app.release.shell import Shell

if TYPE_CHECKING:
    from pathlib import Path

NAME = "1-aaaaaaa"


class Scripted:
    """A host whose release is a script: it says what a file says, and notes what it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / "store" / f"{'a' * 32}-windlass"
        (path / "bin").mkdir(parents=True)
        (path / "release.json").write_text(json.dumps({"version": "1", "commit": "a" * 40}))
        program = path / "bin" / "windlass"
        program.write_text(
            "#!/bin/sh\n"
            f"cd {folder}\n"
            "case $1 in\n"
            "host) cat agent ;;\n"
            "status) if [ -e silent ]; then rm silent; exit 1; fi; cat status ;;\n"
            "reload) echo reload >>told; [ ! -e refuses ] || { echo 'windlass: no' >&2; exit 1; }\n"
            "    cp after status ;;\n"
            "esac\n"
        )
        program.chmod(0o755)
        site = Site(folder, folder / "store")
        site.links.mkdir()
        site.profile.symlink_to(path)
        config = SiteConfig("staging", needs_approval=False, keep=2, keep_days=0,
                            start_timeout_s=1.0)  # fmt: skip
        (folder / "site.json").write_bytes(msgspec.json.encode(config))
        (folder / "after").write_text(self.of(NAME))
        self.path = str(path)
        self.service = Service(site, Shell({"PATH": os.environ["PATH"]}))

    @staticmethod
    def of(name: str, *, running: bool = True) -> str:
        """What `status` says of a service that runs a release."""
        processes = [{"name": "web/0", "state": "ready", "release": name}]
        return json.dumps({"running": running, "addresses": ["http://127.0.0.1:1"],
                           "processes": processes})  # fmt: skip

    def told(self) -> list[str]:
        file = self.folder / "told"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def host(tmp_path: Path) -> Scripted:
    found = Scripted(tmp_path)
    (tmp_path / "status").write_text(found.of("1-bbbbbbb"))
    return found


def test_a_service_that_runs_another_release_is_upgraded(host: Scripted) -> None:
    host.service.activate(host.path)
    assert host.told() == ["reload"]


def test_a_service_that_cannot_say_how_it_is_is_not_taken_for_down(host: Scripted) -> None:
    (host.folder / "silent").touch()
    host.service.activate(host.path)
    assert host.told() == ["reload"]


def test_a_service_whose_supervisor_does_not_answer_is_upgraded_and_not_called_down(
    host: Scripted,
) -> None:
    (host.folder / "status").write_text(json.dumps({"running": True, "problem": "no answer"}))
    assert host.service.fault(NAME) == "no answer"
    host.service.activate(host.path)
    assert host.told() == ["reload"]


def test_a_service_that_is_down_is_left_to_its_unit(host: Scripted) -> None:
    (host.folder / "status").write_text(host.of("1-bbbbbbb", running=False))
    with pytest.raises(ReleaseError, match="after 1 s the service is down"):
        host.service.activate(host.path)
    assert host.told() == []


def test_an_upgrade_that_is_refused_says_why(host: Scripted) -> None:
    (host.folder / "refuses").touch()
    with pytest.raises(ReleaseError, match=r"^no$"):
        host.service.activate(host.path)


def test_a_release_that_answers_as_the_agent_may_become_it(host: Scripted) -> None:
    status = HostStatus("staging", host.path, NAME, "a" * 40, "", 0.0, [], [], 1)
    (host.folder / "agent").write_bytes(msgspec.json.encode(Reply(status)))
    host.service.check_agent(host.path)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("Traceback (most recent call last):", "gives no answer:\nTraceback"),
        ("", "gives no answer"),
        ("{}", "it fails: it says nothing"),
        ('{"refusal":{"code":"failed","reason":"lease.json cannot be read"}}', "it fails: lease"),
        ('{"answer":{"environment":"staging"}}', "gives no answer"),
    ],
)
def test_a_release_that_cannot_be_the_agent_is_refused(host: Scripted, said: str, why: str) -> None:
    (host.folder / "agent").write_text(said)
    with pytest.raises(RefusedError, match=why) as caught:
        host.service.check_agent(host.path)
    assert caught.value.code == "unfit"
