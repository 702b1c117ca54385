"""The host agent's parts: lease, fence, records, audit log, forced command."""

from __future__ import annotations

import grp
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from app.errors import CommandError, RefusedError, ReleaseError
from app.release.argv import SERVE_STORE
from app.release.host import audit, install, lease, traffic
from app.release.host import site as sites
from app.release.host.gate import DEPLOYER, ROLES, admitted
from app.release.host.site import Site
from app.release.messages import AuditEntry, Begin, Extend, Held, Lease, Lock, Pending
from app.release.shell import Conversation
from tests.support import ROOT

STORE = "/nix/store/" + "a" * 32


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "record").mkdir()
    return Site(tmp_path)


def taken(site: Site, deploy: str, window_s: float = 60.0) -> Lease:
    return lease.take(site, Begin(deploy, f"{deploy}@desk", window_s))


# ---- the lease


def test_each_lease_has_a_higher_fence_and_only_one_holds(site: Site) -> None:
    first = taken(site, "first")
    with pytest.raises(RefusedError, match=r"first@desk is deploying .* free in \d+ s") as caught:
        taken(site, "second")
    assert caught.value.code == "busy"
    lease.release(site, Held(first.fence, "first"))
    assert taken(site, "second").fence == first.fence + 1


def test_a_lease_that_has_run_out_is_free_and_its_holder_is_refused(site: Site) -> None:
    first = taken(site, "first", 0.0)
    with pytest.raises(RefusedError, match="has run out"):
        lease.require(site, Held(first.fence, "first"))
    second = taken(site, "second")
    lease.require(site, Held(second.fence, "second"))
    with pytest.raises(RefusedError, match=r"second@desk .* has it now") as caught:
        lease.extend(site, Extend(first.fence, "first", 60.0))
    assert caught.value.code == "fence"


def test_a_lease_that_has_run_out_can_still_be_let_go_of_while_it_is_the_newest(site: Site) -> None:
    first = taken(site, "first", 0.0)
    assert lease.require_newest(site, Held(first.fence, "first")) == site.lease()
    taken(site, "second")
    with pytest.raises(RefusedError, match=r"second@desk .* has it now"):
        lease.require_newest(site, Held(first.fence, "first"))


def test_a_lease_of_another_boot_is_over(site: Site) -> None:
    first = taken(site, "first")
    first.boot = "an earlier boot"
    site.write("lease", first)
    assert taken(site, "second").fence == first.fence + 1


def test_extending_a_lease_moves_the_deadline_of_its_own_switch_only(site: Site) -> None:
    held = taken(site, "mine")
    theirs = Pending("theirs", 0, "", "x", sites.boot(), 5.0, 0.0, "", "")
    site.write("switch", theirs)
    lease.extend(site, Extend(held.fence, "mine", 60.0))
    assert site.pending() == theirs
    site.write("switch", msgspec.structs.replace(theirs, deploy="mine"))
    lease.extend(site, Extend(held.fence, "mine", 60.0))
    pending = site.pending()
    assert pending is not None
    assert 50 < sites.left_s(pending.boot, pending.deadline_s) <= 60
    failed = msgspec.structs.replace(pending, deadline_s=0.0, attempts=1)
    site.write("switch", failed)
    lease.extend(site, Extend(held.fence, "mine", 60.0))
    assert site.pending() == failed, "a way back that goes on is not put off"


def test_a_lock_keeps_everybody_out_and_says_why(site: Site) -> None:
    site.write("lock", Lock("alice", "the sale is on", 0.0))
    with pytest.raises(RefusedError, match=r"locked by alice: the sale is on; .*windlass unlock"):
        taken(site, "first")


# ---- records


def test_a_record_that_cannot_be_read_is_named_and_not_taken_for_none(site: Site) -> None:
    (site.record / "switch.json").write_text("{")
    with pytest.raises(ReleaseError, match=r"switch\.json cannot be read"):
        site.pending()


def test_a_write_that_fails_leaves_what_was_there(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.write("lock", Lock("alice", "before", 0.0))

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            site.write("lock", Lock("bob", "after", 0.0))
    lock = site.lock()
    assert lock is not None
    assert lock.by == "alice"
    assert [path.name for path in site.record.iterdir() if path.name.startswith(".")] == []


def test_one_holds_the_right_to_switch(site: Site) -> None:
    with site.activating(0.0):
        with pytest.raises(RefusedError, match="just being switched"), site.activating(0.0):
            pass
        with site.recording():
            pass


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", STORE, f"{STORE}-x/bin", f"{STORE}-x/../y", f"{STORE}-a b", f"{STORE}-x;y",
     "/nix/store/short-x"],
)  # fmt: skip
def test_only_entries_of_the_store_are_paths(site: Site, path: str) -> None:
    with pytest.raises(RefusedError, match="is no path of"):
        site.require_store_path(path)


def test_an_entry_of_the_store_is_a_path(site: Site) -> None:
    site.require_store_path(f"{STORE}-windlass-1.0.0")


# ---- the audit log


def entry(action: str) -> AuditEntry:
    return AuditEntry("", action, "alice")


def test_audit_entries_come_back_in_order_and_whole(site: Site) -> None:
    for action in ("begin", "switch", "confirm"):
        audit.append(site, entry(action))
    found = audit.read(site, 2)
    assert [one.action for one in found.entries] == ["switch", "confirm"]
    assert found.fault == ""
    assert audit.read(Site(Path("/nowhere")), 2).entries == []


@pytest.mark.parametrize("change", ["alter", "remove", "break"])
def test_an_audit_log_that_was_changed_says_where(site: Site, change: str) -> None:
    for action in ("begin", "switch", "confirm"):
        audit.append(site, entry(action))
    file = site.record / "audit.jsonl"
    lines = file.read_text().splitlines()
    lines[1:2] = {"alter": [lines[1].replace("alice", "mallory")], "remove": [],
                  "break": [lines[1][:20]]}[change]  # fmt: skip
    file.write_text("\n".join([*lines, ""]))
    assert "line 2" in audit.read(site, 10).fault


def test_half_a_line_does_not_swallow_the_next(site: Site) -> None:
    audit.append(site, entry("begin"))
    with (site.record / "audit.jsonl").open("a") as file:
        file.write('{"at":"20')
    audit.append(site, entry("switch"))
    assert [one.action for one in audit.read(site, 10).entries] == ["begin", "switch"]


# ---- the forced command


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("nix-store --serve --write", SERVE_STORE),
        ("windlass host status", ("status",)),
        ("windlass host hold", ("hold",)),
        ("windlass host logs web --lines=20 --follow", ("logs", "web", "--lines=20", "--follow")),
    ],
)
def test_the_gate_lets_through_what_a_deployer_needs(asked: str, words: tuple[str, ...]) -> None:
    assert admitted(asked, DEPLOYER) == words


@pytest.mark.parametrize(
    "asked",
    ["", "sh", "bash -c id", "nix-store --serve", "nix-store --delete /nix/store/x",
     "nix-store --serve --write; id", "windlass host", "windlass host gate", "windlass host guard",
     "windlass host status; id", "windlass host status extra", "windlass host hold extra",
     "windlass up", "windlass host logs ../x", "windlass host logs --lines=x",
     "windlass host logs $(id)",
     "scp -t /"],
)  # fmt: skip
def test_the_gate_refuses_all_else(asked: str) -> None:
    for role in ROLES:
        with pytest.raises(RefusedError, match=f"this key cannot open .* its role, {role}"):
            admitted(asked, role)


# ---- traffic


def test_traffic_is_split_at_the_switch(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = site.stack / "log"
    logs.mkdir(parents=True)
    line = '{{"timestamp":"2026-01-01T00:00:{:02}+00:00","status":{},"duration_s":0.01}}\n'
    own = '{"timestamp":"2026-01-01T00:00:59+00:00","status":500,"user_agent":"windlass-probe"}\n'
    text = "".join(line.format(s, 500 if s > 50 else 200) for s in range(60))
    (logs / "nginx.log").write_text(text + own + "not json\n" + '{"timestamp":"20')
    begun = 1767225600.0  # 2026-01-01T00:00:00Z
    site.write("switch", Pending("d", 1, "", "x", sites.boot(), 0.0, begun + 30, "", ""))
    monkeypatch.setattr("time.time", lambda: begun + 60)
    seen = traffic.read(site, 300.0)
    assert (seen.before.requests, seen.before.errors) == (29, 0)
    assert [window.requests for window in seen.after] == [14, 15]
    assert [window.errors for window in seen.after] == [0, 9]


def test_a_request_counts_whatever_its_client_calls_itself(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = site.stack / "log"
    logs.mkdir(parents=True)
    line = b'{"timestamp":"2026-01-01T00:00:30+00:00","status":500,"user_agent":"%b"}\n'
    (logs / "nginx.log").write_bytes(line % b"\xff\xfe" + line % "Größe".encode())
    monkeypatch.setattr("time.time", lambda: BEGUN + 60)
    seen = traffic.read(site, 300.0)
    assert (seen.before.requests, seen.before.errors) == (2, 2)


BEGUN = 1767225600.0  # 2026-01-01T00:00:00Z


def noted(site: Site, second: int, action: str, deploy: str, result: str) -> None:
    """An audit entry of a second; the chain does not matter here."""
    at = f"2026-01-01T00:00:{second:02}.000Z"
    one = AuditEntry(at, action, "alice", deploy, result=result)
    with (site.record / "audit.jsonl").open("ab") as file:
        file.write(msgspec.json.encode(one) + b"\n")


@pytest.fixture
def second_by_second(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A host with an answer 503 in each of 60 s, which switched after 50 of them."""
    logs = site.stack / "log"
    logs.mkdir(parents=True)
    line = '{{"timestamp":"2026-01-01T00:00:{:02}+00:00","status":503,"duration_s":0.01}}\n'
    (logs / "nginx.log").write_text("".join(line.format(second) for second in range(60)))
    site.write("switch", Pending("d", 1, "", "x", sites.boot(), 0.0, BEGUN + 50, "", ""))
    monkeypatch.setattr("time.time", lambda: BEGUN + 60)
    return site


def test_traffic_before_is_of_the_wanted_seconds_only(second_by_second: Site) -> None:
    assert traffic.read(second_by_second, 10.0).before.requests == 9


def test_traffic_of_a_release_that_the_host_went_back_from_excuses_nothing(
    second_by_second: Site,
) -> None:
    site = second_by_second
    noted(site, 5, "switch", "kept", "begun")
    noted(site, 8, "confirm", "kept", "confirmed")
    noted(site, 10, "switch", "tried", "begun")
    noted(site, 15, "back", "tried", "not yet: it is busy")
    noted(site, 20, "back", "tried", audit.WENT_BACK)
    noted(site, 50, "switch", "d", "begun")
    seen = traffic.read(site, 300.0)
    assert seen.before.requests == 49 - 13, "one second is left out on either side, too"
    assert sum(window.requests for window in seen.after) == 9


def test_traffic_while_the_service_was_closed_is_not_counted(second_by_second: Site) -> None:
    site = second_by_second
    noted(site, 10, "maintenance", "", "on")
    noted(site, 20, "maintenance", "", "off")
    seen = traffic.read(site, 300.0)
    assert (seen.before.requests, seen.closed) == (49 - 13, False)
    site.maintenance.touch()
    os.utime(site.maintenance, (BEGUN + 40, BEGUN + 40))
    seen = traffic.read(site, 300.0)
    assert (seen.before.requests, seen.closed) == (39 - 13, True)
    assert sum(window.requests for window in seen.after) == 0


# ---- orders


@pytest.mark.parametrize(
    ("order", "message", "code"),
    [
        ("unlock", {"by": "alice"}, None),
        ("lock", {"by": "alice", "reason": "x", "at": 0}, None),
        ("extend", {"fence": 7, "deploy": "x", "window_s": 5}, "fence"),
        ("extend", {"fence": "seven"}, "unknown"),
        ("inspect", {"paths": ["/etc/passwd"]}, "unknown"),
        ("execute", {"words": ["up"]}, "unknown"),
        ("status", {}, "failed"),
    ],
)
def test_an_order_is_answered_or_refused_and_its_exit_code_says_which(
    site: Site, order: str, message: dict[str, object], code: str | None
) -> None:
    done = subprocess.run(
        (sys.executable, "-m", "app", "host", "--base", str(site.base), "order", order),
        input=msgspec.json.encode(message), capture_output=True, check=False, timeout=60, cwd=ROOT,
    )  # fmt: skip
    assert done.stderr == b""
    reply = msgspec.json.decode(done.stdout)
    if code is None:
        assert (done.returncode, "refusal" in reply) == (0, False)
    else:
        assert (done.returncode, reply["refusal"]["code"]) == (1, code)


def test_a_lease_is_held_line_by_line_until_it_is_over(site: Site) -> None:
    held = taken(site, "mine")
    order = msgspec.json.encode(Extend(held.fence, "mine", 60.0))
    words = (sys.executable, "-m", "app", "host", "--base", str(site.base), "gate")
    conversation = Conversation(
        words, {"SSH_ORIGINAL_COMMAND": "windlass host hold", "PYTHONPATH": str(ROOT)}
    )
    try:
        for _ in range(3):
            assert msgspec.json.decode(conversation.ask(order, 60.0)) == {"answer": {}}
        lease.release(site, Held(held.fence, "mine"))
        reply = msgspec.json.decode(conversation.ask(order, 60.0))
        assert reply["refusal"]["code"] == "fence"
        with pytest.raises(CommandError, match=r"has ended|gave no answer"):
            conversation.ask(order, 60.0)
    finally:
        conversation.close()


# ---- setup


@pytest.mark.parametrize(("mode", "is_asked_for"), [(0o770, True), (0o755, False), (0o700, False)])
def test_group_that_reaches_nix_is_asked_for_only_where_others_do_not(
    mode: int, is_asked_for: bool, tmp_path: Path  # noqa: FBT001
) -> None:  # fmt: skip
    group = next(one for one in grp.getgrall() if one.gr_gid != 0) if os.geteuid() == 0 else (
        grp.getgrgid(os.getgid())
    )  # fmt: skip
    os.chown(tmp_path, -1, group.gr_gid)
    tmp_path.chmod(mode)
    assert install.group_of_nix(tmp_path) == (group.gr_name if is_asked_for else "")


def test_nobody_is_put_into_root_s_group_and_a_single_user_nix_has_none(tmp_path: Path) -> None:
    assert install.group_of_nix(tmp_path / "missing") == ""
    if os.geteuid() == 0:
        tmp_path.chmod(0o770)
        os.chown(tmp_path, -1, 0)
        assert install.group_of_nix(tmp_path) == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder to any group")
def test_group_of_nix_without_a_name_is_refused_by_its_number(tmp_path: Path) -> None:
    nameless = next(n for n in range(60_000, 0, -1) if n not in {g.gr_gid for g in grp.getgrall()})
    tmp_path.chmod(0o770)
    os.chown(tmp_path, -1, nameless)
    with pytest.raises(ReleaseError, match=f"group {nameless} alone"):
        install.group_of_nix(tmp_path)
