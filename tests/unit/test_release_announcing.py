"""Notifications: real servers get the news; one that cannot be told changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from app.release.announcing import News, announce
from app.release.inventory import Notify
from benchmarks.ports import free_port
from tests.support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aiosmtpd.smtp import SMTP, Envelope, LoginPassword, Session

LOGIN = "ops:p%40ss"
OPENSSL = shutil.which("openssl") or "openssl"
NEWS = News(
    "rolled-back", "staging", "/nix/store/x-windlass", "alice", "d-1", "30 of 600 answers were 5xx",
    ["abc1234 Break it (Bob)"], {"one": "/nix/store/y-windlass"},
)  # fmt: skip


@contextmanager
def webhook(status: int = 200) -> Iterator[tuple[str, list[bytes]]]:
    """A server that takes what is posted."""
    got: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook/secret-token", got
        finally:
            server.shutdown()
            thread.join()


def told(notify: Notify, environ: dict[str, str], news: News = NEWS) -> list[str]:
    """Tell one; returns what could not be done."""
    done = announce([notify], news, environ)
    wants_it = news.event in notify.on
    assert done.told == ([notify.kind] if wants_it and not done.faults else [])
    return done.faults


def test_slack_gets_a_text_with_reason_commits_and_hosts() -> None:
    with webhook() as (url, got):
        assert told(Notify("slack", "HOOK"), {"HOOK": url}) == []
    text = json.loads(got[0])["text"]
    for words in ("was taken back from staging (by alice, d-1)", "30 of 600", "Break it", "one: "):
        assert words in text


def test_a_webhook_gets_the_event_as_json() -> None:
    with webhook() as (url, got):
        assert told(Notify("webhook", "HOOK"), {"HOOK": url}) == []
    found = json.loads(got[0])
    assert (found["event"], found["hosts"]) == ("rolled-back", {"one": "/nix/store/y-windlass"})


def test_only_events_that_are_asked_for_are_told() -> None:
    with webhook() as (url, got):
        assert told(Notify("webhook", "HOOK", on=("failed",)), {"HOOK": url}) == []
    assert got == []


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_refuses_is_said_without_its_secret(status: int) -> None:
    with webhook(status) as (url, _):
        (said,) = told(Notify("slack", "HOOK"), {"HOOK": url})
    assert said == f"nobody was told by slack: the receiver answered {status}"
    assert "secret-token" not in said


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "the variable HOOK is not set"),
        ({"HOOK": "http://127.0.0.1:1/x"}, "ConnectionRefusedError"),
        ({"HOOK": "file:///etc/passwd"}, "ValueError"),
    ],
)
def test_what_cannot_be_reached_is_said(environ: dict[str, str], words: str) -> None:
    (said,) = told(Notify("slack", "HOOK"), environ)
    assert words in said


# ---- mail, to a real server


class Inbox:
    """Keeps the mails that a server takes."""

    def __init__(self) -> None:
        self.mails: list[Envelope] = []

    async def handle_DATA(  # noqa: N802 - as the server calls it
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        self.mails.append(envelope)
        return "250 taken"


def knows(
    _server: SMTP, _session: Session, _envelope: Envelope, _how: str, given: LoginPassword
) -> AuthResult:
    """Whether a login is that of these tests."""
    return AuthResult(success=(given.login, given.password) == (b"ops", b"p@ss"))


@contextmanager
def mail_server(
    context: ssl.SSLContext | None = None, host: str = "localhost"
) -> Iterator[tuple[int, Inbox]]:
    """A mail server; one with TLS wants it, and then a login."""
    inbox = Inbox()
    controller = Controller(
        inbox, hostname=host, port=free_port(), authenticator=knows, tls_context=context,
        auth_required=context is not None, auth_require_tls=context is not None,
    )  # fmt: skip
    controller.start()
    try:
        yield controller.port, inbox
    finally:
        controller.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of localhost that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    files = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        (OPENSSL, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-out", files[0], "-keyout",
         files[1]), check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return files


def context_of(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


MAIL = Notify("email", to=("ops@example.org", "boss@example.org"), sender="windlass@example.org",
              smtp_variable="SMTP")  # fmt: skip


@pytest.mark.parametrize("secure", [False, True])
def test_a_mail_has_subject_sender_and_text(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, *, secure: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with mail_server(context_of(certificate) if secure else None) as (port, inbox):
        assert told(MAIL, {"SMTP": f"smtp://{LOGIN}@localhost:{port}"}) == []
    (mail,) = inbox.mails
    assert mail.mail_from == "windlass@example.org"
    assert mail.rcpt_tos == ["ops@example.org", "boss@example.org"]
    assert isinstance(mail.content, bytes)
    text = mail.content.decode()
    assert "Subject: [staging] /nix/store/x-windlass: rolled-back" in text
    assert "Reason: 30 of 600" in text


def test_a_mail_server_that_nobody_vouches_for_gets_no_password(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    with mail_server(context_of(certificate)) as (port, inbox):
        (said,) = told(MAIL, {"SMTP": f"smtp://{LOGIN}@localhost:{port}"})
    assert "SSLCertVerificationError" in said
    assert "p%40ss" not in said
    assert inbox.mails == []


def test_a_login_that_is_wrong_is_said_without_it() -> None:
    with mail_server() as (port, inbox):
        (said,) = told(MAIL, {"SMTP": f"smtp://{LOGIN[:-1]}@localhost:{port}"})
    assert said.startswith("nobody was told by email: SMTP")
    assert LOGIN[4:-1] not in said
    assert inbox.mails == []


def test_a_password_goes_to_no_other_machine_without_tls() -> None:
    with mail_server(host="127.0.0.2") as (port, inbox):
        (said,) = told(MAIL, {"SMTP": f"smtp://{LOGIN}@127.0.0.2:{port}"})
    assert "the mail server offers no TLS, and the password is not sent" in said
    assert inbox.mails == []


# ---- the command


def notify_command(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    key = "ssh-ed25519 " + "A" * 68
    (folder / "deploy.toml").write_text(
        f"""[environments.staging]
deploy_key = "d"
signing_key = "s"
builders = ["{key}"]
[[environments.staging.hosts]]
name = "one"
address = "192.0.2.1"
host_key = "{key}"
[[environments.staging.notify]]
kind = "slack"
url_variable = "HOOK"
[[environments.staging.notify]]
kind = "email"
to = ["ops@example.org"]
sender = "windlass@example.org"
smtp_variable = "SMTP"
on = ["failed"]
"""
    )
    return subprocess.run(
        (sys.executable, "-m", "app", "notify", "staging", *words, "--config",
         str(folder / "deploy.toml")), capture_output=True, text=True, check=False, timeout=60,
        cwd=ROOT, env={"PATH": os.environ["PATH"], "GITHUB_ACTOR": "alice", **environ},
    )  # fmt: skip


def test_a_pipeline_tells_everybody_who_wants_to_know(tmp_path: Path) -> None:
    with webhook() as (url, posts), mail_server() as (port, inbox):
        done = notify_command(
            tmp_path, "failed", "--reason", "3 tests fail", "--run", "run 17",
            HOOK=url, SMTP=f"smtp://{LOGIN}@localhost:{port}",
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["told slack", "told email"]
    text = json.loads(posts[0])["text"]
    assert text.startswith("A release could not be deployed to staging (by alice, run 17)")
    assert "Reason: 3 tests fail" in text
    assert len(inbox.mails) == 1


def test_a_pipeline_learns_whom_it_could_not_tell(tmp_path: Path) -> None:
    done = notify_command(tmp_path, "started", "--json", HOOK="http://127.0.0.1:1/secret-token")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["told"] == []
    assert found["faults"] == [
        "nobody was told by slack: ConnectionRefusedError; is the address in HOOK right?"
    ]


def test_a_trial_sends_nothing(tmp_path: Path) -> None:
    done = notify_command(tmp_path, "failed", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["would tell slack", "would tell email"]


# ---- what the pipeline tells of

KEY = "ssh-ed25519 " + "A" * 68
ENVIRONMENT = """
[environments.{name}]
deploy_key = "keys/deploy"
signing_key = "keys/builder"
builders = ["{key}"]
trusted_store_keys = ["site-1:{store}="]
[[environments.{name}.hosts]]
name = "one"
address = "192.0.2.1"
host_key = "{key}"
[[environments.{name}.notify]]
kind = "slack"
url_variable = "{variable}"
on = ["failed"]
"""


@pytest.mark.parametrize(
    ("ended", "staging_is_told", "production_is_told"),
    [({}, False, False), ({"build": "failure"}, True, False),
     ({"production": "cancelled"}, True, True), ({"staging": "failure"}, True, False)],
)  # fmt: skip
def test_pipeline_tells_each_environment_of_what_concerns_it(
    ended: dict[str, str], staging_is_told: bool, production_is_told: bool,  # noqa: FBT001
    tmp_path: Path,
) -> None:  # fmt: skip
    text = "".join(
        ENVIRONMENT.format(name=name, key=KEY, store="A" * 43, variable=f"HOOK_{name.upper()}")
        for name in ("staging", "production")
    )
    (tmp_path / "deploy.toml").write_text(text)
    results = dict.fromkeys(("build", "staging", "production"), "success") | ended
    with webhook() as (staging, told_staging), webhook() as (production, told_production):
        done = notified(tmp_path, results, HOOK_STAGING=staging, HOOK_PRODUCTION=production)
    assert done.returncode == 0, done.stderr
    assert [bool(told_staging), bool(told_production)] == [staging_is_told, production_is_told]
    for got in (*told_staging, *told_production):
        assert f"the pipeline ended at {next(iter(ended))}" in json.loads(got)["text"]
    with webhook() as (production, told_production):
        nowhere = f"http://127.0.0.1:{free_port()}/"
        done = notified(tmp_path, results, HOOK_STAGING=nowhere, HOOK_PRODUCTION=production)
    assert done.returncode == int(staging_is_told), "that somebody was not told is seen"
    assert bool(told_production) == production_is_told, "and keeps nobody else from being told"


def notified(
    folder: Path, results: dict[str, str], **hooks: str
) -> subprocess.CompletedProcess[str]:
    """Run what the workflow runs."""
    command = (
        sys.executable,
        "-m",
        "pipeline",
        "ship",
        "notify",
        "staging",
        "--also",
        "production",
    )
    needs = json.dumps({name: {"result": result} for name, result in results.items()})
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "WINDLASS_DEPLOY": str(folder / "deploy.toml"), "NEEDS": needs, **hooks},
    )  # fmt: skip
