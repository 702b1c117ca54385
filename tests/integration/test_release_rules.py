"""What servers refuse, and the verdict on real traffic: one host of staging, one of production."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.release_site import Load, Site, clean_environ, kill, why_not
from tests.support import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "possible here"),
    pytest.mark.timeout(900),
]
SETTINGS = (
    "ENVIRONMENT=TEST\nHOST=0.0.0.0\nPORT=8000\nPLAN_PORT=\nWORKERS=2\nREDIS_MANAGED=yes\n"
    "LOG_FORMAT=json\n"
)
STORE_BYTES = 96 << 20
SSH = ("ssh", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o",
       "BatchMode=yes", "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes", "-i")  # fmt: skip
_CALCULATOR = "app/web/calculator.py"
_POST = "    def post(self) -> None:\n"


@dataclass
class Two:
    """The servers `one` of staging and `two` of production, both at the release `old`."""

    site: Site
    old: str = ""

    def inventory(self, **staging: Any) -> None:  # noqa: ANN401 - as `Site.environment` takes it
        self.site.write_inventory(self._environments({}, **staging))

    def _environments(self, keys: dict[str, Any], **staging: Any) -> str:  # noqa: ANN401 - as above
        site = self.site
        return (
            site.environment("staging", ("one",), window_s=20, **keys, **staging)
            + site.environment("production", ("two",), window_s=20, requires="staging",
                               approvers={"alice": site.public("alice")}, **keys)
        )  # fmt: skip

    def deploy(self, environment: str, path: str) -> subprocess.CompletedProcess[str]:
        return self.site.windlass("deploy", environment, "--release", path)

    def approve(
        self, path: str, key: str = "alice", **environ: str
    ) -> subprocess.CompletedProcess[str]:
        return self.at_desk("approve", "production", "--release", path, "--as", "alice",
                            key=key, **environ)  # fmt: skip

    def at_desk(
        self, *words: str, key: str = "alice", **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """What an approver does: with a copy of deploy.toml and a personal key, and no other."""
        desk = self.site.folder / f"desk-{key}"
        own = desk / "own"
        if not desk.exists():
            desk.mkdir()
            shutil.copy(self.site.keys / key, own)
        others = {f"{name}_key": f"keys/{name}" for name in ("deploy", "signing", "store")}
        (desk / "deploy.toml").write_text(self._environments(others))
        return self.site.windlass(*words, "--key", str(own), "--config",
                                  str(desk / "deploy.toml"), **environ)  # fmt: skip

    def ssh(self, key: str, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        site = self.site
        return site.deployer.attempt(
            *SSH, str(site.keys / key), f"windlass@{site.machines['one'].address}", *words,
            given=given,
        )  # fmt: skip


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    site = Site(tmp_path_factory.mktemp("rules"), ("one", "two"), {"two": STORE_BYTES})
    try:
        site.up()
        found = Two(site, site.release("a"))
        found.inventory()
        for environment in ("staging", "production"):
            site.set_up(environment, found.old, SETTINGS)
        for done in (found.deploy("staging", found.old), found.approve(found.old),
                     found.deploy("production", found.old)):  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
        yield found
    finally:
        site.down()


@pytest.fixture(autouse=True)
def _as_found(two: Two) -> None:
    two.inventory()


# ---- who may, and what


def test_production_takes_only_what_staging_verified_and_a_person_approved(two: Two) -> None:
    new = two.site.release("b")
    done = two.deploy("production", new)
    assert done.returncode == 1
    assert "was never confirmed on one; production takes only what staging" in done.stderr
    assert two.approve(new).returncode == 1, "nobody may approve what was not verified"

    assert two.deploy("staging", new).returncode == 0
    done = two.deploy("production", new)
    assert done.returncode == 1
    assert f"nobody approved {new} here; to approve it: windlass approve" in done.stdout
    assert "No host was switched" in done.stdout

    done = two.approve(new, "mallory")
    assert done.returncode == 1
    assert "Permission denied" in done.stderr
    assert "the approvers' keys that it was set up with" in done.stderr

    # Two are approved as a change from the same release; once one is there, the other no longer is.
    other = two.site.release("c")
    assert two.deploy("staging", other).returncode == 0
    assert two.approve(new).returncode == 0
    with agent_of(two, "alice") as socket:
        done = two.approve(other, "alice.pub", SSH_AUTH_SOCK=socket)
        assert done.returncode == 0, done.stderr
    for words in (("status", "production"), ("releases", "staging"), ("logs", "staging", "web")):
        done = two.at_desk(*words)
        assert done.returncode == 0, done.stderr
    noted = json.loads(two.at_desk("audit", "production", "--json").stdout)["two"]["entries"]
    assert {(one["by"], one["key"]) for one in noted if one["action"] == "approve"} == {
        ("alice", "alice")
    }
    assert {one["key"] for one in noted if one["action"] in {"begin", "switch", "confirm"}} == {
        "deploy"
    }
    for asked in ("nix-store --serve --write", "windlass host begin", "windlass host execute"):
        done = two.ssh("alice", *asked.split(), given="{}")
        assert done.returncode == 1
        assert "its role, approver, gives only these orders" in done.stderr, done.stderr
    done = two.deploy("production", new)
    assert done.returncode == 0, done.stdout
    assert two.site.paths("production") == {new}
    done = two.deploy("production", other)
    assert done.returncode == 1
    assert f"alice approved it as a change from {two.old}" in done.stdout
    assert two.site.paths("production") == {new}


@contextmanager
def agent_of(two: Two, key: str) -> Iterator[str]:
    """An ssh-agent on the deployer that has a key; its socket."""
    machine, socket = two.site.deployer, "/run/agent"
    process = subprocess.Popen(machine.command("ssh-agent", "-D", "-a", socket),
                               stdout=subprocess.PIPE, text=True, env=clean_environ())  # fmt: skip
    add = ("env", f"SSH_AUTH_SOCK={socket}", "ssh-add", str(two.site.keys / key))
    try:
        wait_for(lambda: machine.attempt(*add).returncode == 0, "the agent to take the key")
        yield socket
    finally:
        kill(process)


def test_a_release_that_no_builder_signed_is_refused(two: Two) -> None:
    site = two.site
    new = site.release("d")
    site.write_inventory(
        site.environment("staging", ("one",), window_s=20, signing_key=str(site.keys / "mallory"))
    )
    done = two.deploy("staging", new)
    assert done.returncode == 1
    assert "no key that this host knows signed this for windlass-release" in done.stdout
    assert "No host was switched" in done.stdout


def test_who_takes_orders_cannot_change_whose_orders_count(two: Two) -> None:
    machine = two.site.machines["one"]
    policy = ("site.json", "signers", "settings.env", ".ssh/authorized_keys")
    for name in policy:
        path = f"/var/lib/windlass/{name}"
        for command in (("cp", "/dev/null", path), ("mv", path, f"{path}.old"), ("rm", "-f", path),
                        ("touch", f"{path}.new"), ("chmod", "600", path)):  # fmt: skip
            done = machine.attempt("setpriv", "--reuid=windlass", "--regid=windlass",
                                   "--init-groups", "--", *command)  # fmt: skip
            assert done.returncode != 0, command
            assert "denied" in done.stderr or "not permitted" in done.stderr, done.stderr


def test_who_ships_the_logs_reads_them_and_nothing_else(two: Two) -> None:
    machine = two.site.machines["one"]
    base = "/var/lib/windlass"

    def does(group: str, *command: str) -> bool:
        become = ("setpriv", "--reuid=nobody", "--regid=nogroup", f"--groups={group}", "--")
        return machine.attempt(*become, *command).returncode == 0

    for name in ("web", "nginx", "redis"):
        log = f"{base}/stack/log/{name}.log"
        assert does("windlass-log", "cat", log)
        assert not does("nogroup", "cat", log)
        assert not does("windlass-log", "truncate", "--size=0", log)
    for path in ("settings.env", "site.json", "record", "links", "stack", "stack/run", ".ssh", ""):
        assert not does("windlass-log", "ls" if "." not in path else "cat", f"{base}/{path}"), path
    assert not does("windlass-log", "touch", f"{base}/stack/log/mine")


def test_the_deploy_key_opens_no_shell_and_sends_no_unsigned_path(two: Two) -> None:
    for words in ((), ("id",), ("bash",), ("windlass", "up"), ("nix-store", "--gc")):
        done = two.ssh("deploy", *words)
        assert done.returncode != 0
        assert "this key cannot open" in done.stderr, (words, done.stderr)
        assert done.stdout == ""
    assert two.ssh("mallory", "windlass", "host", "status").returncode == 255
    done = two.ssh("deploy", "windlass", "host", "status", given="{}")
    assert done.returncode == 0, done.stderr

    expression = (
        'derivation { name = "unsigned"; system = builtins.currentSystem; builder = "/bin/sh"; '
        'args = [ "-c" "echo hello > $out" ]; }'
    )
    path = two.site.deployer.run("nix-build", "--no-out-link", "-E", expression).strip()
    host = f"windlass@{two.site.machines['one'].address}"
    options = " ".join([*SSH[1:], str(two.site.keys / "deploy")])
    copy = ("env", f"NIX_SSHOPTS={options}", "nix-copy-closure", "--to", host, path)
    done = two.site.deployer.attempt(*copy)
    assert done.returncode != 0
    assert "lacks a valid signature" in done.stderr, done.stderr
    two.site.deployer.run(
        "nix", "--extra-experimental-features", "nix-command", "store", "sign", "--key-file",
        str(two.site.keys / "store"), path,
    )  # fmt: skip
    done = two.site.deployer.attempt(*copy)
    assert done.returncode == 0, done.stderr


def test_another_host_key_is_refused(two: Two) -> None:
    file = two.site.folder / "deploy.toml"
    file.write_text(file.read_text().replace(two.site.public("host"), two.site.public("mallory")))
    done = two.deploy("staging", two.old)
    assert done.returncode == 1
    assert "one shows another host key than deploy.toml has" in done.stderr
    assert "compare the key on its console" in done.stderr


def test_a_lock_keeps_everybody_out_until_it_is_taken_away(two: Two) -> None:
    done = two.site.windlass("lock", "staging", "--reason", "the sale is on")
    assert done.returncode == 0, done.stderr
    done = two.deploy("staging", two.old)
    assert done.returncode == 1
    assert "locked by root@" in done.stderr
    assert "the sale is on; when that is over: windlass unlock" in done.stderr
    assert "locked by" in two.site.windlass("status", "staging").stdout
    assert two.site.windlass("unlock", "staging").returncode == 0


def test_a_full_store_is_said_and_nothing_is_switched(two: Two) -> None:
    new = two.site.release("e")
    assert two.deploy("staging", new).returncode == 0
    assert two.approve(new).returncode == 0
    machine, before = two.site.machines["two"], two.site.paths("production")
    machine.attempt("sh", "-c", "cat /dev/zero > /nix/filler")
    try:
        done = two.deploy("production", new)
        assert done.returncode == 1
        assert "two: the disk is full: " in done.stdout, done.stdout
        assert "make room with: windlass gc production" in done.stdout
        assert "No host was switched" in done.stdout
    finally:
        machine.run("rm", "/nix/filler")
    assert two.site.paths("production") == before


def test_a_bad_inventory_is_refused_whole(two: Two) -> None:
    file = two.site.folder / "deploy.toml"
    file.write_text(file.read_text().replace("window_s = 20", 'window_s = "soon"\nwindows = 1'))
    done = two.deploy("staging", two.old)
    assert done.returncode == 78
    assert done.stderr.count("window_s: the value 'soon' is wrong") == 2
    assert "did you mean window_s?" in done.stderr


# ---- the verdict on traffic


def release_with(two: Two, commit: str, statement: str) -> str:
    return two.site.release(
        commit,
        (_CALCULATOR, _POST, f"{_POST}        __import__('random').random() < {statement}\n"),
    )


def test_a_release_that_fails_five_percent_goes_back_by_itself(two: Two) -> None:
    (before,) = two.site.paths("staging")
    two.inventory(bake={"seconds": 60, "baseline_s": 60})
    # Half of the load are calculations: one in ten of these is one in twenty of all.
    bad = release_with(two, "f", "0.1 and 1 // 0")
    with Load(two.site, ("one",), 40.0) as load:
        wait_for(lambda: two.site.status("staging"), "some traffic before")
        done = two.deploy("staging", bad)
    assert done.returncode == 1, done.stdout
    assert "requests were answered 5xx" in done.stdout
    assert "Every host is back" in done.stdout
    assert two.site.paths("staging") == {before}
    assert set(load.found["statuses"]) == {"500"}, load.found


def test_slow_noise_without_errors_does_not_go_back(two: Two) -> None:
    two.inventory(bake={"seconds": 20, "baseline_s": 60})
    noisy = release_with(two, "ab", "0.05 and __import__('time').sleep(0.08)")
    with Load(two.site, ("one",), 30.0) as load:
        done = two.deploy("staging", noisy)
    assert done.returncode == 0, done.stdout
    assert load.found["failures"] == []
    assert two.site.paths("staging") == {noisy}


# ---- what a person asks


def test_what_a_person_on_call_asks(two: Two) -> None:
    site = two.site
    found = json.loads(site.windlass("audit", "staging", "--json").stdout)["one"]
    assert found["fault"] == ""
    assert {"begin", "switch", "confirm", "end"} <= {one["action"] for one in found["entries"]}
    assert "settings: every value is allowed" in site.windlass("exec", "staging", "check").stdout
    assert site.windlass("exec", "staging", "up").returncode == 1
    assert "nginx" in site.windlass("logs", "staging", "nginx", "-n", "2").stdout
    assert "one:" in site.windlass("releases", "staging").stdout
    done = site.windlass("plan", "staging", "--release", two.old)
    assert "to send: 0.0 MB" in done.stdout, done.stderr
    done = site.windlass("rollback", "staging", "no-such-release")
    assert done.returncode == 1
    assert "There are:" in done.stderr


def test_maintenance_closes_the_service_and_opens_it(two: Two) -> None:
    site, url = two.site, f"{two.site.machines['one'].address}:8000"
    code = (
        "import http.client as h, sys; c = h.HTTPConnection(sys.argv[1]); c.request('GET', '/'); "
        "print(c.getresponse().status)"
    )
    for state, status in (("on", "503"), ("off", "200")):
        assert site.windlass("maintenance", "staging", state).returncode == 0
        assert site.deployer.run(sys.executable, "-c", code, url).strip() == status
