"""Steps of a deployment: what was not signed is refused, and no secret is left or shown."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from app.release import inventory
from nix import update as resolved
from pipeline.jobs import PipelineError
from pipeline.ship import bundle, github, keys, order, update, verdict
from pipeline.ship.command import command as ship

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH")
ABOUT = {"name": "windlass", "release": "1.0.0-abcdef0", "commit": "abcdef0" * 5 + "abcde"}
STORE_PATH = "/nix/store/00000000000000000000000000000000-windlass-1.0.0"


def make_key(file: Path) -> str:
    command = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(file))
    subprocess.run(command, check=True, timeout=30)
    return file.with_name(f"{file.name}.pub").read_text().strip()


@dataclass
class Sealed:
    folder: Path
    builder: str
    other: str


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    builder, other = make_key(tmp_path / "builder"), make_key(tmp_path / "other")
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / bundle.CLOSURE).write_bytes(b"closure")
    (folder / bundle.IMAGE).write_bytes(b"image")
    bundle.seal(folder, STORE_PATH, ABOUT, tmp_path / "builder")
    return Sealed(folder, builder, other)


# ---- the bundle


def test_bundle_as_it_was_signed_is_taken(sealed: Sealed) -> None:
    manifest = bundle.verified(sealed.folder, [sealed.other, sealed.builder])
    assert (manifest.path, manifest.release) == (STORE_PATH, ABOUT["release"])
    assert set(manifest.files) == {bundle.CLOSURE, bundle.IMAGE}


def change(folder: Path) -> None:
    (folder / bundle.CLOSURE).write_bytes(b"closurf")


def add(folder: Path) -> None:
    (folder / "more").write_bytes(b"")


def remove(folder: Path) -> None:
    (folder / bundle.IMAGE).unlink()


def rewrite_manifest(folder: Path) -> None:
    file = folder / bundle.MANIFEST
    file.write_text(file.read_text().replace("1.0.0-abcdef0", "1.0.0-abcdef1"))


def remove_signature(folder: Path) -> None:
    (folder / bundle.SIGNATURE).unlink()


@pytest.mark.parametrize("tamper", [change, add, remove, rewrite_manifest, remove_signature])
def test_bundle_that_is_another_is_refused(sealed: Sealed, tamper: Any) -> None:  # noqa: ANN401
    tamper(sealed.folder)
    with pytest.raises(PipelineError, match=r"not as it was signed|no signature of a builder"):
        bundle.verified(sealed.folder, [sealed.builder])


def test_bundle_of_a_key_that_no_deploy_toml_names_is_refused(sealed: Sealed) -> None:
    for builders in ([], [sealed.other]):
        with pytest.raises(PipelineError, match="no signature of a builder"):
            bundle.verified(sealed.folder, builders)


# ---- keys


def environment(root: Path, deploy_key: str = "keys/deploy") -> inventory.Environment:
    public = make_key(root / deploy_key.replace("/", "-"))
    (root / "deploy.toml").write_text(
        f'[environments.staging]\ndeploy_key = "{deploy_key}"\nsigning_key = "keys/builder"\n'
        f'store_key = "keys/store"\nbuilders = ["{public}"]\n'
        f'trusted_store_keys = ["site-1:{"A" * 43}="]\n'
        f'[[environments.staging.hosts]]\nname = "one"\naddress = "192.0.2.1"\n'
        f'host_key = "{public}"\n'
    )
    return inventory.read(root / "deploy.toml").environment("staging")


def test_keys_are_written_for_nobody_else_and_forgotten(tmp_path: Path) -> None:
    found = environment(tmp_path)
    make_key(tmp_path / "deploy")
    key = (tmp_path / "deploy").read_text()
    secrets = {"DEPLOY_KEY": key, "BUILDER_KEY": "b", "STORE_KEY": "s"}
    files = keys.write(found, tmp_path, secrets)
    assert [file.name for file in files] == ["deploy", "builder", "store"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert (tmp_path / "keys" / "deploy.pub").read_text().startswith("ssh-ed25519 ")
    assert keys.write(found, tmp_path, secrets) == files, "a second time is no fault"
    assert len(keys.forget(found, tmp_path)) == 4
    assert list((tmp_path / "keys").iterdir()) == []


def test_missing_secret_is_named_and_a_key_elsewhere_refused(tmp_path: Path) -> None:
    found = environment(tmp_path)
    with pytest.raises(PipelineError, match="the secret DEPLOY_KEY is not set for staging"):
        keys.write(found, tmp_path, {})
    make_key(tmp_path / "own")
    secrets = {"DEPLOY_KEY": (tmp_path / "own").read_text(), "BUILDER_KEY": "b"}
    with pytest.raises(PipelineError, match="leave it out"):
        keys.write(found, tmp_path, secrets)
    outside = environment(tmp_path, "../deploy")
    with pytest.raises(PipelineError, match="not below"):
        keys.write(outside, tmp_path, {"DEPLOY_KEY": "x", "BUILDER_KEY": "b", "STORE_KEY": "s"})


def test_key_of_the_required_environment_is_written_only_where_it_is_another(
    tmp_path: Path,
) -> None:
    production = environment(tmp_path)
    assert keys.write_required(production, production, tmp_path, {}) == []
    staging = environment(tmp_path, "keys/staging")
    with pytest.raises(PipelineError, match="set REQUIRED_DEPLOY_KEY"):
        keys.write_required(production, staging, tmp_path, {})
    secrets = {"REQUIRED_DEPLOY_KEY": "k"}
    (file,) = keys.write_required(production, staging, tmp_path, secrets)
    assert (file.name, file.stat().st_mode & 0o777) == ("staging", 0o600)


# ---- the verdict


def needs(**results: str) -> str:
    return json.dumps({name: {"result": result, "outputs": {}} for name, result in results.items()})


@pytest.mark.parametrize("result", ["failure", "cancelled", "skipped", "", "SUCCESS"])
def test_verdict_is_green_for_success_only(result: str) -> None:
    assert verdict.faults(verdict.read(needs(check="success"))) == []
    assert verdict.faults(verdict.read(needs(check="success", test=result))) == [f"test: {result}"]


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"check": "success"}'])
def test_verdict_over_nothing_is_none(text: str) -> None:
    with pytest.raises(PipelineError):
        verdict.read(text)


def test_people_are_told_of_what_failed_or_ran_out_of_time_and_not_of_what_it_kept_back() -> None:
    found = verdict.read(needs(a="success", b="failure", c="cancelled", d="skipped"))
    assert verdict.unsuccessful(found) == ["b", "c (cancelled, or out of time)"]
    assert verdict.unsuccessful(verdict.read(needs(a="success", b="skipped"))) == []
    assert verdict.concerned(found, ["b", "d", "a"]) == ["b"]
    with pytest.raises(PipelineError, match="has no job production; it has a, b, c, d"):
        verdict.concerned(found, ["production"])


# ---- in order

STATUS = json.dumps({
    "one": {"path": "/nix/store/x", "commit": "c" * 40, "fault": "", "since": 1.0},
    "two": {"error": "unreachable"}, "three": {"path": "", "commit": ""},
})  # fmt: skip


def test_hosts_that_run_nothing_or_cannot_be_asked_have_no_commit() -> None:
    assert order.running(STATUS) == {"one": "c" * 40}
    with pytest.raises(PipelineError, match="cannot be read"):
        order.running("")


def test_commit_is_refused_only_where_what_runs_comes_after_it(tmp_path: Path) -> None:
    update.git(tmp_path, "init", "--quiet")
    commits = []
    for number in range(3):
        update.git(tmp_path, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet",
                   "--allow-empty", "--no-gpg-sign", "--message", str(number))  # fmt: skip
        commits.append(update.git(tmp_path, "rev-parse", "HEAD"))
    old, middle, new = commits
    order.require_not_older(tmp_path, new, middle, "one")
    order.require_not_older(tmp_path, middle, middle, "one")
    order.require_not_older(tmp_path, middle, "f" * 40, "one")
    with pytest.raises(PipelineError, match=r"one runs .* already, which comes after"):
        order.require_not_older(tmp_path, old, new, "one")


# ---- what is said to GitHub


@dataclass
class Hub:
    """A receiver that answers like GitHub's API."""

    comments: list[dict[str, Any]] = field(default_factory=list)
    pulls: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    address: str = ""

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, object]:
        kind = self.pulls if "/pulls" in path else self.comments
        if method == "GET":
            return 200, kind
        if method == "POST":
            user = {"type": "Bot"}
            kind.append({"id": len(kind) + 1, "number": len(kind) + 1, "user": user, **body})
            return 201, kind[-1]
        number = int(path.rpartition("/")[2])
        kind[number - 1] |= body
        return 200, kind[number - 1]


@pytest.fixture
def hub() -> Iterator[Hub]:
    found = Hub()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            authorization = str(self.headers["Authorization"])
            found.asked.append((self.command, self.path, authorization))
            status, answer = found.answer(self.command, self.path, body)
            self.send_response(status if authorization == "Bearer t" else 401)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    found.address = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    server.server_close()


def test_report_is_one_comment_that_is_replaced(hub: Hub) -> None:
    repository = github.Repository(hub.address, "o/r", "t")
    assert github.comment(repository, 7, "first", "gate") == "commented"
    assert github.comment(repository, 7, "second", "gate") == "replaced the comment"
    assert [one["body"] for one in hub.comments] == ["<!-- gate -->\nsecond"]
    assert {path.partition("?")[0] for _, path, _ in hub.asked} == {
        "/repos/o/r/issues/7/comments", "/repos/o/r/issues/comments/1"
    }  # fmt: skip


def test_run_without_a_report_replaces_what_an_earlier_one_said(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {
        "GITHUB_API_URL": hub.address, "GITHUB_REPOSITORY": "o/r", "GITHUB_TOKEN": "t",
        "PULL_REQUEST": "7",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, text)
    report = tmp_path / "report.md"
    report.write_text("# Benchmarks: PASS")
    for file in (report, tmp_path / "none"):
        done = CliRunner().invoke(ship, ["comment", str(file)])
        assert done.exit_code == 0, done.output
    assert [one["body"].splitlines()[1] for one in hub.comments] == ["# Benchmarks: no report"]


def test_comment_of_a_person_with_our_mark_is_left_alone(hub: Hub) -> None:
    hub.comments.append({"id": 1, "user": {"type": "User"}, "body": "<!-- gate -->\nmine"})
    github.comment(github.Repository(hub.address, "o/r", "t"), 7, "ours", "gate")
    assert hub.comments[0]["body"] == "<!-- gate -->\nmine"


def test_comment_calls_nobody_and_is_not_too_long(hub: Hub) -> None:
    text = "@everyone " + "x" * 100_000
    github.comment(github.Repository(hub.address, "o/r", "t"), 7, text, "gate")
    body = hub.comments[0]["body"]
    assert "@everyone" not in body
    assert len(body) <= 60_000
    assert body.endswith("artifact `gate` of this run.\n")


def test_refusal_of_github_is_said_without_the_token(hub: Hub) -> None:
    with pytest.raises(PipelineError, match="GitHub says 401") as caught:
        github.comment(github.Repository(hub.address, "o/r", "secret-token"), 7, "x", "gate")
    assert "secret-token" not in str(caught.value)


def test_branch_has_one_request(hub: Hub) -> None:
    repository = github.Repository(hub.address, "o/r", "t")
    for _ in range(2):
        github.request_pull(repository, "update-locks", "main", "title", "text")
    assert len(hub.pulls) == 1


# ---- newer locks


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in update.LOCKS:
        (folder / name).write_text("old\n")
    update.git(folder, "init", "--quiet", "--initial-branch=main")
    who = ("-c", "user.name=t", "-c", "user.email=t@t")
    update.git(folder, "add", "--all")
    update.git(folder, *who, "commit", "--quiet", "--no-gpg-sign", "--message", "1")
    return folder


def test_only_locks_travel_and_only_changed_ones_are_pushed(checkout: Path, tmp_path: Path) -> None:
    (checkout / "requirements.txt").write_text("new\n")
    (checkout / "run").write_text("bad\n")
    saved = tmp_path / "saved"
    assert update.save(checkout, saved) == ["requirements.txt"]
    (saved / "run").write_text("bad\n")
    remote = tmp_path / "remote"
    update.git(tmp_path, "init", "--quiet", "--bare", str(remote))
    other = tmp_path / "other"
    update.git(tmp_path, "clone", "--quiet", str(checkout), str(other))
    names = update.take(saved, other)
    assert names == ["requirements.txt"]
    for _ in range(2):
        update.push(other, names, str(remote), "Bring the locks up to date")
        (other / "requirements.txt").write_text("newer\n")
    shown = update.git(remote, "show", "--name-only", "--format=%s", update.BRANCH)
    assert shown.split("\n\n") == ["Bring the locks up to date", "requirements.txt"]


def test_every_lock_that_is_resolved_is_proposed() -> None:
    assert set(update.LOCKS) == {*resolved.LOCKS, "flake.lock"}


def test_lock_that_is_a_link_is_refused(checkout: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    saved.mkdir()
    (saved / "flake.lock").symlink_to("/etc/passwd")
    with pytest.raises(PipelineError, match="is no file"):
        update.take(saved, checkout)


def test_push_that_fails_does_not_show_the_token(checkout: Path) -> None:
    (checkout / "flake.lock").write_text("new\n")
    remote = "https://x-access-token:hidden@127.0.0.1:1/o/r.git"
    with pytest.raises(PipelineError) as caught:
        update.push(checkout, ["flake.lock"], remote, "title")
    assert "hidden" not in str(caught.value)
