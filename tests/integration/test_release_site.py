"""Releases on real servers: no request fails, all hosts or none, and back whatever is killed."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.release_site import Load, Site, kill, why_not
from tests.support import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.release_site import Machine

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "possible here"),
    pytest.mark.timeout(1800),
]
HOSTS = ("one", "two", "three")
WINDOW_S = int(os.environ.get("RELEASE_WINDOW_S", "20"))
BACK_S = 2 * WINDOW_S + 90
"""Within this the old release serves on every host again: the window, and a hot upgrade on a
machine that three of them share with the tests. RELEASE_WINDOW_S is for slower machines."""
LONG = bool(os.environ.get("RELEASE_LONG"))
RECORD = "/var/lib/windlass/record"
SETTINGS = (
    "ENVIRONMENT=STAGING\nHOST=0.0.0.0\nPORT=8000\nPLAN_PORT=\nWORKERS=1\nREDIS_MANAGED=yes\n"
    f"LOG_FORMAT=json\nSTART_TIMEOUT_S={WINDOW_S}\n"
)
_SERVING = "app/serving.py"
COMMITS = (f"{number:07x}" for number in count(0xA000000))
"""Of each release another, so that none is named by two."""


@dataclass
class Servers:
    """Three servers of staging that run the release `old`; `new` is another sound one.

    A test that has brought them to another release leaves that as the `old` one of the next.
    """

    site: Site
    old: str
    new: str = ""

    def inventory(self, **more: Any) -> None:  # noqa: ANN401 - as `Site.environment` takes it
        settings: dict[str, Any] = {"batch": 3, "window_s": WINDOW_S, **more}
        self.site.write_inventory(self.site.environment("staging", HOSTS, **settings))

    def deploy(self, path: str) -> subprocess.CompletedProcess[str]:
        return self.site.windlass("deploy", "staging", "--release", path)

    def start_deploy(self, path: str) -> Deployment:
        return Deployment(self.site, "deploy", "staging", "--release", path, "--json")

    def at(self) -> set[str]:
        """What the hosts are set to, read on their disks."""
        return {profile_of(machine) for machine in self.site.hosts()}

    def wait_until_back(self, path: str) -> float:
        """Wait until no host has an open switch and all are set to a release; returns seconds."""
        begun = time.monotonic()
        wait_for(lambda: not any(map(is_open, self.site.hosts())) and self.at() == {path},
                 f"every host to be at {path}", BACK_S)  # fmt: skip
        took = time.monotonic() - begun
        wait_for(lambda: self.is_healthy(path), f"every host to be well at {path}", 60)
        return took

    def wait_for(self, deployment: Deployment, at: tuple[str, str, str]) -> None:
        """Wait until a deployment is at a step; of a switch, until it has reached a host."""
        deployment.wait_for(*at)
        if at[:2] == ("switch", "begun"):
            wait_for(lambda: any(map(is_open, self.site.hosts())), "an open switch", 60)

    def is_healthy(self, path: str) -> bool:
        found = self.site.status("staging")
        return all(one.get("path") == path and not one.get("fault") for one in found.values())

    def reset(self) -> None:
        """Have every host run one release, healthily, with nothing left of another test."""
        self.site.end_started()
        for machine in self.site.hosts():
            if machine.process is None:
                machine.boot()
            machine.set_link(up=True)
        self.inventory()
        wait_for(lambda: not any(map(is_open, self.site.hosts())), "no open switch", BACK_S)
        at = self.at()
        if len(at) == 1 and self.is_healthy(*at):
            (self.old,) = at
        else:
            wait_for(lambda: self.deploy(self.old).returncode == 0, "the old release", 240)
        self.new = self.site.release(next(COMMITS))


class Deployment:
    """A deployment that goes on, and what it has said."""

    def __init__(self, site: Site, *words: str) -> None:
        self.process = site.start(*words)
        self.events: list[dict[str, Any]] = []

    def wait_for(self, step: str, state: str, host: str = "") -> None:
        """Read what it says until it says this."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event = json.loads(line)
            self.events.append(event)
            if (event.get("step"), event.get("state")) == (step, state) and (
                not host or event.get("host") == host
            ):
                return
        pytest.fail(f"it never said {step} {state} {host}: {self.events}")

    def kill(self) -> None:
        """Kill -9 windlass itself."""
        self._itself().kill()
        self.end()

    def fall_asleep(self) -> None:
        """Stop windlass; what entered the namespace for it sees that, and stops, too."""
        self._itself().suspend()
        entered = psutil.Process(self.process.pid)
        wait_for(lambda: entered.status() == psutil.STATUS_STOPPED, "both to be stopped")

    def wake_up(self) -> None:
        """Have windlass go on, by having what entered the namespace go on."""
        psutil.Process(self.process.pid).resume()

    def end(self, timeout_s: float = 300) -> int:
        """Wait for its end; returns the exit code."""
        try:
            output, _ = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            kill(self.process)
            pytest.fail(f"it did not end within {timeout_s} s; it said: {self.events}")
        self.events += [json.loads(line) for line in output.splitlines()]
        return self.process.returncode

    def _itself(self) -> psutil.Process:
        """Windlass, which runs below the process that entered its namespace."""
        (child,) = psutil.Process(self.process.pid).children()
        return child


def profile_of(machine: Machine) -> str:
    base = "/var/lib/windlass/links/"
    link = os.readlink(machine.path(base + "profile"))  # noqa: PTH115 - it is of another root
    return os.readlink(machine.path(base + link))  # noqa: PTH115


def is_open(machine: Machine) -> bool:
    return machine.path(f"{RECORD}/switch.json").exists()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    site = Site(tmp_path_factory.mktemp("site"), HOSTS)
    try:
        site.up()
        servers = Servers(site, site.release(next(COMMITS)))
        servers.inventory()
        site.set_up("staging", servers.old, SETTINGS)
        done = servers.deploy(servers.old)
        assert done.returncode == 0, done.stderr
        yield servers
    finally:
        site.down()


@pytest.fixture
def servers(whole: Servers) -> Servers:
    whole.reset()
    return whole


def test_setup_changes_nothing_twice(servers: Servers) -> None:
    done = servers.site.windlass("setup", "staging", "--release", servers.old, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "would change" not in done.stdout
    assert done.stdout.count("is so") >= 3 * 10


def test_deploys_and_rollbacks_fail_no_request(servers: Servers) -> None:
    rounds = 20 if LONG else 1
    with Load(servers.site, HOSTS) as load:
        for _ in range(rounds):
            done = servers.deploy(servers.new)
            assert done.returncode == 0, done.stdout + done.stderr
            done = servers.site.windlass("rollback", "staging", servers.old)
            assert done.returncode == 0, done.stdout + done.stderr
    record("deploys and rollbacks", f"{rounds} and {rounds}: {load.found}")
    assert load.found["failures"] == []
    assert load.found["sent"] > 100
    assert servers.at() == {servers.old}


def test_third_host_unhealthy_takes_all_back(servers: Servers) -> None:
    listens = "            orders.listen()\n"
    never_ready = (
        "            if __import__('os').uname().nodename == 'three':\n"
        "                await asyncio.sleep(600)\n"
    )
    bad = servers.site.release(next(COMMITS), (_SERVING, listens, listens + never_ready))
    servers.inventory(batch=1)
    with Load(servers.site, HOSTS) as load:
        done = servers.deploy(bad)
    assert done.returncode == 1
    assert "was not ready in time" in done.stdout
    assert done.stdout.splitlines()[-1] == "Every host is back on the release that it ran before."
    assert servers.at() == {servers.old}
    assert load.found["failures"] == []


STEPS = (
    ("lease", "begun", ""), ("lease", "done", ""), ("copy", "begun", "two"),
    ("check", "begun", "two"), ("switch", "begun", "two"), ("switch", "done", "two"),
    ("probe", "begun", "two"), ("probe", "done", "two"), ("bake", "begun", ""),
    ("confirm", "begun", "two"), ("confirm", "done", ""),
)  # fmt: skip
SWITCH, BAKE = ("switch", "begun", "two"), ("bake", "begun", "")


@pytest.mark.parametrize("at", STEPS if LONG else (SWITCH,), ids="-".join)
def test_killed_deployer_leaves_the_old_release_and_the_next_run_converges(
    servers: Servers, at: tuple[str, str, str]
) -> None:
    servers.inventory(bake={"seconds": 20})
    new = servers.new
    with Load(servers.site, HOSTS) as load:
        deployment = servers.start_deploy(new)
        servers.wait_for(deployment, at)
        deployment.kill()
        confirmed = at[0] == "confirm"
        if confirmed:
            # Some hosts may have been confirmed: then those stay, and the others go back.
            wait_for(lambda: not any(map(is_open, servers.site.hosts())), "no open switch", BACK_S)
            took = 0.0
        else:
            took = servers.wait_until_back(servers.old)
        said = "some confirmed" if servers.at() != {servers.old} else f"back after {took:.0f} s"
        servers.inventory()

        def again() -> bool:
            return servers.deploy(new).returncode == 0

        wait_for(again, "the next run to go through", 300)
    assert servers.at() == {new}
    record(f"deployer killed at {'-'.join(at)}", f"{said}; next run converges; {load.found}")
    assert load.found["failures"] == []


@pytest.mark.parametrize("at", STEPS if LONG else (("probe", "done", "two"),), ids="-".join)
def test_cut_link_takes_every_host_back(servers: Servers, at: tuple[str, str, str]) -> None:
    servers.inventory(bake={"seconds": 20})
    new = servers.new
    deployment = servers.start_deploy(new)
    servers.wait_for(deployment, at)
    cut = servers.site.machines["two"]
    cut.set_link(up=False)
    begun = time.monotonic()
    wait_for(lambda: not is_open(cut), "the host without a link to go back", BACK_S + 60)
    took = time.monotonic() - begun
    code = deployment.end()
    cut.set_link(up=True)
    last = deployment.events[-1]
    record(f"link cut at {'-'.join(at)}", f"exit {code}, no open switch after {took:.0f} s; {last}")
    if profile_of(cut) == servers.old:
        assert code == 1
        servers.wait_until_back(servers.old)
    else:  # it had been confirmed by then
        assert servers.at() in ({new}, {servers.old, new})
    servers.inventory()
    wait_for(lambda: servers.deploy(new).returncode == 0, "the next run to go through", 300)
    assert servers.at() == {new}


@pytest.mark.parametrize("at", (SWITCH, BAKE) if LONG else (BAKE,), ids="-".join)
def test_machines_that_start_anew_in_the_window_run_the_old_release(
    servers: Servers, at: tuple[str, str, str]
) -> None:
    servers.inventory(bake={"seconds": 30})
    deployment = servers.start_deploy(servers.new)
    servers.wait_for(deployment, at)
    for machine in servers.site.hosts():
        machine.pull_the_plug()
    deployment.kill()
    for machine in servers.site.hosts():
        machine.boot()
    took = servers.wait_until_back(servers.old)
    record(f"machines start anew at {'-'.join(at)}", f"old release set after {took:.0f} s")


def test_a_silent_deployer_is_refused_later_and_a_killed_guard_keeps_no_host_from_going_back(
    servers: Servers,
) -> None:
    servers.inventory(bake={"seconds": 30})
    deployment = servers.start_deploy(servers.new)
    deployment.wait_for(*BAKE)
    deployment.fall_asleep()
    kill_on(servers.site.machines["one"], "guard", "supervisord")
    took = servers.wait_until_back(servers.old)
    record("guard and supervisord killed on one host, deployer asleep", f"back after {took:.0f} s")

    other = servers.site.release(next(COMMITS))
    servers.inventory()
    wait_for(lambda: servers.deploy(other).returncode == 0, "another deployer to go through", 300)
    deployment.wake_up()
    begun = time.monotonic()
    assert deployment.end(60) == 1
    last = deployment.events[-1]
    record("deployer asleep past its lease", f"{time.monotonic() - begun:.0f} s; {last}")
    assert last["outcome"] == "failed"
    assert last["lost"], last
    assert "the lease of" in str(last["reason"])
    assert set(last["hosts"].values()) == {other}, "it says what they run, which is another's"
    assert servers.at() == {other}, "the one that woke up has changed nothing"


def kill_on(machine: Machine, *words: str) -> None:
    """Kill -9 whatever runs on a machine and has one of some words among its arguments."""
    mine = Path(f"/proc/{machine.first_pid}/ns/pid").readlink()
    killed = set()
    for process in psutil.process_iter():
        try:
            if Path(f"/proc/{process.pid}/ns/pid").readlink() == mine:
                arguments = " ".join(process.cmdline())
                found = {word for word in words if word in arguments}
                if found:
                    process.kill()
                    killed |= found
        except (psutil.Error, OSError):
            continue
    assert killed == set(words)


def record(what: str, how: str) -> None:
    """Keep a line for the table, where one is asked for."""
    if path := os.environ.get("RELEASE_TABLE"):
        with Path(path).open("a") as file:
            file.write(f"{what} | {how}\n")
