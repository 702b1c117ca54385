"""The self-test can break what it means to break; a rehearsal tells what was not right."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from nix import github_runner_prepare as prepare
from pipeline import jobs as table
from pipeline import running
from pipeline.rehearsal import scenes
from pipeline.rehearsal.stage import Done
from pipeline.rehearsal.transcript import Transcript
from pipeline.selftest.breaks import BREAKS, Break
from pipeline.selftest.clone import OUT_OF_TIME, Clone, Ended
from pipeline.selftest.command import Row
from pipeline.selftest.command import table as selftest_table
from tests.support import GIT, ROOT, git, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

OF_THE_CLONE = ("bundle/", "needs.json")
UNIT = ROOT / "nix" / "github-runner.service"
ANALYSER = shutil.which("systemd-analyze") or ""
needs_git = pytest.mark.skipif(
    not GIT or shutil.which("ssh-keygen") is None, reason="needs git, and ssh-keygen"
)


# ---- the self-test


@pytest.mark.parametrize("one", BREAKS, ids=lambda one: one.what)
def test_break_has_something_to_break_and_an_existing_command(one: Break) -> None:
    if one.old and not one.file.startswith(OF_THE_CLONE):
        assert (ROOT / one.file).read_text().count(one.old) >= 1
    assert one.old != one.new
    if "--job" in one.argv:
        table.chosen(table.read(), [one.argv[one.argv.index("--job") + 1]])
        assert one.argv[one.argv.index("--job") + 1] == one.job


def test_every_kind_of_break_is_there() -> None:
    assert {"test", "check", "gate", "smoke", "deploy"} <= {one.job for one in BREAKS}


@pytest.mark.parametrize(
    ("unbroken", "broken", "holds"), [(0, 1, True), (1, 1, False), (0, 0, False), (0, 2, False)]
)
def test_self_test_holds_only_for_green_before_and_red_after(
    unbroken: int, broken: int, holds: bool  # noqa: FBT001
) -> None:  # fmt: skip
    row = Row(BREAKS[0], Ended(unbroken, 1.0, ""), Ended(broken, 1.0, f"x\n{BREAKS[0].says} y"))
    assert row.holds is holds
    assert ("| green | **red** |" in selftest_table([row])) is holds


@pytest.mark.parametrize(
    ("before", "after"), [("", "red for another reason"), (BREAKS[0].says, BREAKS[0].says)]
)
def test_self_test_does_not_hold_for_a_command_that_is_red_for_another_reason(
    before: str, after: str
) -> None:
    row = Row(BREAKS[0], Ended(0, 1.0, before), Ended(1, 1.0, after))
    assert not row.holds
    assert "**nothing of**" in selftest_table([row])


@needs_git
@pytest.mark.parametrize("branch", ["main", "change"])
def test_clone_is_on_its_own_main_whatever_the_checkout_is_on(branch: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    git(root, "init", "--quiet", f"--initial-branch={branch}")
    (root / "file").write_text("old\n")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--no-gpg-sign", "--message", "1")
    (root / "file").write_text("new\n")
    clone = Clone(tmp_path / "clone", root)
    assert git(clone.folder, "branch", "--show-current") == "main"
    assert git(clone.folder, "show", "HEAD:file") == "new", "what is not committed is there, too"
    assert running.base_commit(clone.folder) == git(root, "rev-parse", "HEAD")
    before = git(clone.folder, "rev-parse", "HEAD")
    one = Break("x", "y", ("false",), "file", "new", "broken", "", committed=True)
    assert clone.broken(one).code == 1
    assert git(clone.folder, "rev-parse", "HEAD") == before
    assert (clone.folder / "file").read_text() == "new\n"


@needs_git
def test_command_of_the_clone_that_takes_too_long_is_ended_with_what_it_started(
    tmp_path: Path,
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "commit", "--quiet", "--allow-empty", "--no-gpg-sign", "--message", "1")
    clone = Clone(tmp_path / "clone", root)
    ended = clone.run(("sh", "-c", "sleep 600 & echo $!; wait"), timeout_s=1)
    child, *said = ended.output.splitlines()
    assert (ended.code, said[-1]) == (OUT_OF_TIME, "not done after 1 s; ended")
    wait_for(lambda: not is_alive(int(child)), "its child to end")


@pytest.mark.timeout(240)
@needs_git
def test_self_test_that_is_told_to_end_leaves_no_clone_and_no_process(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "pipeline", "ci", "--selftest", "--job", "smoke")
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}, stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_for(
                lambda: list(tmp_path.glob("windlass-selftest-*/clone/needs.json")), "a clone", 60
            )
            process.terminate()
            assert process.wait(90) == 130
        finally:
            process.kill()
    assert not list(tmp_path.glob("windlass-selftest-*"))
    assert not [one for one in psutil.process_iter(["cwd"])
                if str(one.info["cwd"]).startswith(str(tmp_path))]  # fmt: skip


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


# ---- the rehearsal


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (scenes._CALCULATION, scenes._SHOWN),
        ("app/serving.py", scenes._LISTENS),
        ("app/serving.py", "from __future__ import annotations\n"),
    ],
)
def test_bad_commit_of_a_rehearsal_has_something_to_change(file: str, text: str) -> None:
    assert text in (ROOT / file).read_text()


def test_transcript_names_every_stage_that_did_not_as_it_should(tmp_path: Path) -> None:
    told = Transcript(tmp_path)
    told.scene("A scene")
    told.step("good", Done(f"./run x {tmp_path}/y", 0, 1.0, f"in {ROOT}/app\n"), wanted=0)
    told.step("stopped", Done("./run y", 1, 1.0, ""), wanted=1)
    told.step("let through", Done("./run z", 0, 1.0, ""), wanted=1)
    told.runs({"one": "/nix/store/" + "a" * 32 + "-x", "two": "other"}, {"other"})
    assert [line.rpartition(": ")[2] for line in told.wrong] == [
        "let through", "the hosts run another release than they should"
    ]  # fmt: skip
    text = told.markdown()
    assert "$ ./run x FOLDER/y" in text
    assert "    in CHECKOUT/app" in text
    assert "| A scene | let through | NOT as it should: exit code 0 |" in text


def test_scene_that_cannot_be_played_is_a_row_and_ends_only_what_builds_on_it(
    tmp_path: Path,
) -> None:
    def fails(_stage: object, _told: Transcript) -> None:
        raise AssertionError(f"{tmp_path}: no answer\nat all")

    def plays(_stage: object, told: Transcript) -> None:
        told.step("check", Done("x", 0, 1.0, ""), wanted=0)

    told = Transcript(tmp_path)
    wanted = (
        scenes.Scene("one", fails), scenes.Scene("two", plays, needs=("one",)),
        scenes.Scene("three", plays), scenes.Scene("four", plays, needs=("three",)),
    )  # fmt: skip
    scenes.play(wanted, None, told)  # type: ignore[arg-type]
    rows = [line for line in told.markdown().splitlines() if line.startswith("| ")][1:]
    assert rows == [
        "| one | the scene itself | NOT to its end: AssertionError: FOLDER: no answer |",
        "| two | the scene itself | NOT played |",
        "| three | check | passes |",
        "| four | check | passes |",
    ]
    assert [line.partition(":")[0] for line in told.wrong] == ["one", "two"]


def test_scenes_of_a_rehearsal_build_on_earlier_ones() -> None:
    before: set[str] = set()
    for scene in scenes.SCENES:
        assert set(scene.needs) <= before
        before.add(scene.title)


# ---- the self-hosted runner


@pytest.mark.skipif(not ANALYSER, reason="systemd-analyze is not installed")
def test_unit_of_the_runner_is_hardened_and_comes_back_for_ever() -> None:
    done = subprocess.run(
        (ANALYSER, "security", "--offline=true", "--threshold=20", str(UNIT)),
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-300:]
    lines = UNIT.read_text().splitlines()
    assert {"Restart=always", "StartLimitIntervalSec=0"} <= set(lines)
    path = next(line for line in lines if line.startswith("Environment=PATH="))
    assert "/nix/var/nix/profiles/default/bin" in path, "systemd's own PATH has no Nix"
    assert re.search(r"^ExecStartPre=\+", UNIT.read_text(), re.MULTILINE)


@dataclass
class Github:
    """A receiver that answers like GitHub's API of runners, and serves an archive."""

    archive: bytes
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    version: str = "1"
    sha256: str = ""
    address: str = ""

    def answer(self, path: str) -> bytes:
        if path.endswith("/registration-token"):
            return b'{"token": "for-an-hour"}'
        if path.endswith("/downloads"):
            name = f"actions-runner-linux-{self.version}.tar.gz"
            offered = {"os": "linux", "filename": name, "sha256_checksum": self.sha256,
                       "download_url": f"{self.address}/archive"}  # fmt: skip
            return json.dumps([
                {"os": "win", "architecture": "x64"},
                *({**offered, "architecture": each} for each in ("x64", "arm64")),
            ]).encode()  # fmt: skip
        return self.archive


@pytest.fixture
def github(tmp_path: Path) -> Iterator[Github]:
    config = tmp_path / "config.sh"
    config.write_text('#!/bin/sh\nid -un > "$HOME/said"\nprintf "%s\\n" "$@" >> "$HOME/said"\n'
                      'env >> "$HOME/said"\n')  # fmt: skip
    config.chmod(0o755)
    packed = tmp_path / "runner.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(config, "config.sh")
    found = Github(packed.read_bytes(), sha256=hashlib.sha256(packed.read_bytes()).hexdigest())

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            found.asked.append((self.command, self.path, str(self.headers["Authorization"])))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(found.answer(self.path))

        do_GET = do_POST = _answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    found.address = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    server.server_close()


def downloads(github: Github) -> int:
    return sum(path == "/archive" for _, path, _ in github.asked)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_runner_is_fresh_each_time_and_never_sees_the_lasting_token(
    github: Github, tmp_path: Path
) -> None:
    settings = tmp_path / "settings"
    settings.mkdir()
    (settings / "token").write_text("lasting\n")
    home = Path("/tmp") / f"windlass-runner-{os.getpid()}"
    home.mkdir(mode=0o755)
    try:
        (home / "runner").mkdir()
        (home / "runner" / "left").write_text("by the job before")
        environ = {
            "RUNNER_HOME": str(home), "RUNNER_SETTINGS": str(settings), "RUNNER_USER": "nobody",
            "RUNNER_CACHE": str(tmp_path / "cache"), "RUNNER_API": github.address,
            "RUNNER_URL": "https://github.com/o/r", "PATH": os.environ["PATH"],
            "SECRET": "lasting",
        }  # fmt: skip
        # `nobody` is in another group on Debian; the unit's user has one of its own name.
        shutil.chown(home, "nobody")
        environ["RUNNER_GROUP"] = "nogroup"
        done = subprocess.run(
            (sys.executable, str(prepare.__file__)), env=environ, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        said = (home / "runner" / "said").read_text()
        assert not (home / "runner" / "left").exists()
    finally:
        shutil.rmtree(home)
    assert github.asked == [
        ("GET", "/repos/o/r/actions/runners/downloads", "Bearer lasting"),
        ("GET", "/archive", "None"),
        ("POST", "/repos/o/r/actions/runners/registration-token", "Bearer lasting"),
    ]
    assert said.startswith("nobody\n")
    assert {"--ephemeral", "--replace", "for-an-hour"} <= set(said.splitlines())
    assert "lasting" not in said


def test_runner_is_fetched_anew_only_when_github_offers_another(
    github: Github, tmp_path: Path
) -> None:
    api, cache = prepare.Api(github.address, "o/r", "lasting"), tmp_path / "cache"
    first = prepare.newest_archive(api, cache)
    assert prepare.newest_archive(api, cache) == first
    assert downloads(github) == 1
    github.version = "2"
    second = prepare.newest_archive(api, cache)
    assert downloads(github) == 2
    assert list(cache.iterdir()) == [second], "the one before is gone"


def test_runner_that_is_not_the_one_that_github_names_is_refused(
    github: Github, tmp_path: Path
) -> None:
    api, cache = prepare.Api(github.address, "o/r", "lasting"), tmp_path / "cache"
    github.sha256 = "0" * 64
    for _ in range(2):
        with pytest.raises(ValueError, match="has the SHA-256"):
            prepare.newest_archive(api, cache)
